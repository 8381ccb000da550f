//! The guest's only ring-0 code: entry, descriptor tables, and the handlers of traps.
//!
//! It enters 64-bit mode and drops to ring 3 within some forty instructions, because ring 0 may be *emulated* by
//! the hypervisor (and then is a thousand times slower and has no SSE), while ring 3 is always native. Tables are
//! constants of the image, so that no instruction is spent on them: `.boot` starts at 1 MiB and is smaller than
//! 64 KiB, hence the low 16 bits of an address are `symbol - boot_base` and the next ones `0x10`.
//!
//! Ring 3 has no system call: it executes the one `ud2` at `service_point` with a service number in r8
//! (neighbour: `ring0`). Interrupts are open only inside the sleep service, so their handler is one `iretq`, and
//! ring 3 acknowledges them. Any other exception continues in ring 3 at `fault_report`.
//! Everything that can be done in ring 3 (other page tables, the state of further vCPUs) is done there.

use core::arch::global_asm;

/// Most vCPUs that the guest uses.
pub const MAX_CPUS: usize = 16;
/// Where the real-mode trampoline of further vCPUs is copied; a page below 1 MiB.
pub const TRAMPOLINE: usize = 0x8000;
/// Selector of the first task state segment; each vCPU's follows 16 bytes later.
pub const FIRST_TSS_SELECTOR: u16 = 0x30;
/// Bytes of a task state segment: 104 of the architecture, a bit per port up to 0x7ff, and the closing byte.
pub const TSS_BYTES: usize = 104 + 256 + 1;
/// Interrupt vector of the LAPIC timer.
pub const TIMER_VECTOR: u32 = 32;
/// Interrupt vector for the LAPIC's spurious interrupts.
pub const SPURIOUS_VECTOR: u32 = 47;

/// What a vCPU loads on its way to ring 3. The layout is known to `long_mode` below.
#[repr(C)]
pub struct EntryBlock {
    pub ring0_stack: u64,
    pub ring3_stack: u64,
    pub tss_selector: u64,
    pub ring3_entry: u64,
    pub index: u64,
}

unsafe extern "C" {
    /// The block that the next vCPU to pass `long_mode` loads.
    pub static mut entry_block: *const EntryBlock;
    /// The global descriptor table, in units of 8 bytes.
    pub static mut gdt: [u64; 6 + 2 * MAX_CPUS];
    /// Third level of the page tables: an entry per GiB, of which the first is filled.
    pub static mut page_directory_pointers: [u64; 512];
    /// The trampoline, to be copied to [`TRAMPOLINE`].
    pub static trampoline: [u8; 0];
    /// The end of the trampoline.
    pub static trampoline_end: [u8; 0];
    /// First byte behind the image, page-aligned.
    pub static image_end: [u8; 0];
}

global_asm!(
    r#"
    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18                  /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .quad boot_pvh

    .section .boot, "awx"
    .globl boot_base, boot_pvh, boot_linux64, entry_block, gdt, page_directory_pointers
    .globl trampoline, trampoline_end, service_entry
boot_base:

/* PVH: 32-bit protected mode, flat segments, no paging, ebx = start info. */
    .code32
boot_pvh:
    cli
    cld
    mov edi, ebx
    xor esi, esi
    lgdt [gdt_pointer]
enter_long_mode:
    mov eax, 0x620                  /* PAE, OSFXSR, OSXMMEXCPT */
    mov cr4, eax
    mov eax, offset page_map
    mov cr3, eax
    mov ecx, 0xc0000080             /* EFER: long mode enable */
    mov eax, 0x100
    xor edx, edx
    wrmsr
    mov eax, 0x80000033             /* paging, native FPU errors, protection */
    mov cr0, eax
    .byte 0xea                      /* far jump to the 64-bit code segment */
    .long long_mode
    .word 0x08

/* Linux' 64-bit entry: long mode, identity-mapped, rsi = zero page. */
    .code64
boot_linux64:
    cli
    cld
    xor edi, edi
    lgdt [gdt_pointer]
    mov eax, 0x620
    mov cr4, rax
    mov eax, offset page_map
    mov cr3, rax
    mov eax, 0x80000033
    mov cr0, rax

long_mode:
    xor eax, eax
    mov ss, ax
    mov ds, ax
    mov es, ax
    mov rbx, [entry_block]
    mov rsp, [rbx]
    lidt [idt_pointer]
    ltr word ptr [rbx + 16]
    mov rdx, [rbx + 32]
    push 0x23
    push [rbx + 8]
    push 2                          /* ring 3 runs with interrupts closed */
    push 0x1b
    push [rbx + 24]
    iretq

/* Ring 3 calls this; the trap comes back behind the ud2. */
service_entry:
service_point:
    ud2
    ret

/* #UD: a service if it comes from service_point, else a fault. */
invalid_opcode:
    cmp qword ptr [rsp], offset service_point
    jne invalid_opcode_fault
    add qword ptr [rsp], 2
    jmp [r8 * 8 + services]
invalid_opcode_fault:
    push 0
    push 6
    jmp fault

    .balign 8
services:
    .quad service_wrmsr, service_cpuid, service_sleep, service_halt, service_triple_fault

service_wrmsr:
    wrmsr
    iretq
service_cpuid:
    mov r10, rbx
    cpuid
    mov r9d, ebx
    mov rbx, r10
    iretq
service_sleep:
    sti
    hlt
    cli
    iretq
service_halt:
    hlt
    jmp service_halt
service_triple_fault:
    lidt [no_idt_pointer]
    ud2

/* Stack: vector, error code, rip, cs, rflags, rsp, ss. Continues in ring 3, which reports and exits. */
fault:
    pop rdi
    pop rsi
    mov rdx, [rsp]
    mov rcx, cr2
    mov r8, [rsp + 8]
    mov qword ptr [rsp], offset fault_report
    mov qword ptr [rsp + 8], 0x1b
    mov qword ptr [rsp + 16], 2
    mov qword ptr [rsp + 24], offset fault_stack_top - 8
    mov qword ptr [rsp + 32], 0x23
    iretq

    .macro fault_stub vector
    .balign 16
    .if (\vector != 8) && (\vector != 17) && (\vector != 21) && (\vector != 29) && (\vector != 30)
    .if (\vector < 10) || (\vector > 14)
    push 0                          /* the processor gave no error code */
    .endif
    .endif
    push \vector
    jmp fault
    .endm

    .balign 16
fault_stubs:
    .set vector, 0
    .rept 32
    fault_stub vector
    .set vector, vector + 1
    .endr
    .balign 16
interrupt:
    iretq

/* A vCPU that was woken by SIPI: real mode, cs = TRAMPOLINE / 16, ds = 0. */
    .code16
trampoline:
    cli
    .byte 0x66                      /* load all 32 bits of the base */
    lgdt [trampoline_gdt_address]
    mov eax, 0x11
    mov cr0, eax
    .byte 0x66, 0xea                /* far jump to the 32-bit code segment */
    .long trampoline_32
    .word 0x28
trampoline_gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
trampoline_end:
    .set trampoline_gdt_address, {trampoline_address} + (trampoline_gdt_pointer - trampoline)
    .code32
trampoline_32:
    jmp enter_long_mode

    .code64
    .balign 8
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .balign 8
idt_pointer:
    .word idt_end - idt - 1
    .quad idt
    .balign 8
no_idt_pointer:
    .word 0
    .quad 0

    .balign 8
entry_block:
    .quad boot_block
boot_block:
    .quad boot_ring0_stack_top, boot_ring3_stack_top - 8, 0x30, load_main, 0

    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff        /* 0x08: ring 0, 64-bit code */
    .quad 0x00cf93000000ffff        /* 0x10: ring 0, data */
    .quad 0x00affb000000ffff        /* 0x18: ring 3, 64-bit code */
    .quad 0x00cff3000000ffff        /* 0x20: ring 3, data */
    .quad 0x00cf9b000000ffff        /* 0x28: ring 0, 32-bit code */
    .word tss_end - tss - 1         /* 0x30: the boot vCPU's task state segment */
    .word tss - boot_base
    .byte 0x10, 0x89, 0, 0
    .quad 0
    .fill 2 * ({max_cpus} - 1), 8, 0
gdt_end:

    .balign 8
idt:
    .macro gate target
    .word \target - boot_base
    .word 0x08, 0x8e00, 0x10
    .quad 0
    .endm
    .set vector, 0
    .rept 48
    .if vector == 6
    gate invalid_opcode
    .elseif vector < 32
    gate (fault_stubs + 16 * vector)
    .else
    gate interrupt
    .endif
    .set vector, vector + 1
    .endr
idt_end:

    .balign 16
tss:
    .long 0
    .quad boot_ring0_stack_top
    .fill 90, 1, 0
    .word 104                       /* offset of the port bitmap: all ports up to 0x7ff are ring 3's */
    .fill 256, 1, 0
    .byte 0xff
tss_end:

    .balign 4096
page_map:
    .quad page_directory_pointers + 7
    .fill 511, 8, 0
page_directory_pointers:
    .quad first_page_directory + 7
    .fill 511, 8, 0
first_page_directory:
    .set large_page, 0
    .rept 512
    .quad large_page * 0x200000 + 0xe7  /* 2 MiB, present, writable, ring 3, accessed, dirty */
    .set large_page, large_page + 1
    .endr

    .section .bss
    .balign 4096
    .skip 1024
boot_ring0_stack_top:
    .skip 3072 + 4096
fault_stack_top:
    .skip 16384
boot_ring3_stack_top:
    .text
"#,
    trampoline_address = const TRAMPOLINE,
    max_cpus = const MAX_CPUS,
);
