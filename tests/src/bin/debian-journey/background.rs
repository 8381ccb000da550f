//! A command that the guest repeats in the background until it is told to stop, counting how often it went well.

use godwit_tests::debian::Debian;

pub(crate) struct Background {
    name: &'static str,
}

impl Background {
    /// Begins to repeat `command`, in which `$n` is the number of the time, from 1; a time that fails is the last.
    pub(crate) fn start(debian: &mut Debian, name: &'static str, command: &str) -> Self {
        debian.run(&format!(
            "rm -f /run/{name}.*; : >/run/{name}.done; (n=0; while [ ! -e /run/{name}.stop ]; do n=$((n + 1)); \
             {command} >/run/{name}.log 2>&1 || {{ echo $? >/run/{name}.failed; break; }}; \
             echo >>/run/{name}.done; done; : >/run/{name}.over) </dev/null >/dev/null 2>&1 &"
        ));
        Self { name }
    }

    /// Waits until it went well `more` times than by now.
    pub(crate) fn await_more(&self, debian: &mut Debian, more: usize) {
        let goal = self.count(debian) + more;
        super::wait(self.name, || self.count(debian) >= goal);
    }

    /// Ends it, and says how often it went well.
    pub(crate) fn end(self, debian: &mut Debian) -> usize {
        debian.run(&format!(": >/run/{}.stop", self.name));
        super::wait("its end", || self.state(debian).1);
        self.count(debian)
    }

    fn count(&self, debian: &mut Debian) -> usize {
        self.state(debian).0
    }

    /// How often it went well, and whether it is over.
    fn state(&self, debian: &mut Debian) -> (usize, bool) {
        let name = self.name;
        let said = debian.run(&format!(
            "wc -l </run/{name}.done; ls /run/{name}.over 2>/dev/null; \
             if [ -e /run/{name}.failed ]; then echo FAILED; tail -n 20 /run/{name}.log; fi; :"
        ));
        assert!(!said.contains("FAILED"), "{name}: {said}");
        let count = said.lines().next().and_then(|line| line.trim().parse().ok());
        (count.unwrap_or_else(|| panic!("{name}: {said}")), said.contains(".over"))
    }
}
