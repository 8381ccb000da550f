//! PostgreSQL in the guest, pgbench outside: no connection drops and no transaction fails while the guest moves there and
//! back; afterwards every transaction that a client was told of is in the database, and its pages and indexes are whole.

use std::{fs, path::Path, time::Duration};

use godwit_tests::{
    debian::{Clients, Debian, GUEST, PATIENCE},
    program::{Program, Signal},
};

const CLIENTS: usize = 4;
/// Longest that pgbench may run; it is told to end before.
const SECONDS: u32 = 1800;
/// Transactions that are waited for before, between and after the moves.
const TRANSACTIONS: usize = 40;
/// Where pgbench writes each transaction.
const LOG: &str = "/tmp/pgbench";

pub(crate) fn journey(debian: &mut Debian) {
    debian.run("systemctl start postgresql@$(ls /usr/lib/postgresql)-main");
    let clients = debian.clients();
    let settings = query(&clients, "select current_setting('data_checksums'), current_setting('fsync')");
    assert_eq!(settings, "on|on", "checksums and fsync");
    let mut pgbench = start(&clients);
    await_transactions(&clients, &pgbench, TRANSACTIONS);
    for _ in 0..2 {
        debian.hop();
        let by_now = latencies(&clients).len();
        await_transactions(&clients, &pgbench, by_now + TRANSACTIONS);
    }
    // It ends as when its time is over: transactions under way are not counted.
    pgbench.signal(Signal::ALARM);
    let ended = pgbench.end(PATIENCE);
    assert_eq!(ended.status, 0, "{}{}", ended.out, ended.err);
    let processed: usize = number_after(&ended.out, "number of transactions actually processed: ");
    assert_eq!(number_after(&ended.out, "number of failed transactions: "), 0, "{}", ended.out);
    let times = latencies(&clients);
    assert_eq!(times.len(), processed, "transactions in pgbench's log");
    let longest = times.iter().max().copied().unwrap_or_default();
    println!("  {processed} transactions of {CLIENTS} clients, none failed; the longest took {longest:?}");
    consistent(&clients, processed);
    whole(debian, &clients);
}

fn start(clients: &Clients) -> Program {
    let command = format!(
        "rm -f {LOG}.*; exec /usr/lib/postgresql/*/bin/pgbench -h {GUEST} -U postgres -n -c {CLIENTS} -T {SECONDS} \
         -l --log-prefix={LOG} bench"
    );
    clients.start("pgbench", &command)
}

/// How long each transaction took that pgbench has told of by now.
fn latencies(clients: &Clients) -> Vec<Duration> {
    let (folder, prefix) = LOG.rsplit_once('/').unwrap_or_default();
    let folder = clients.path(folder);
    let Ok(entries) = fs::read_dir(Path::new(&folder)) else { return Vec::new() };
    let logs = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
    let text: String = logs.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    // client, its transaction, microseconds, …
    whole.filter_map(|line| line.split(' ').nth(2)?.parse().ok().map(Duration::from_micros)).collect()
}

fn await_transactions(clients: &Clients, pgbench: &Program, count: usize) {
    super::wait(&format!("{count} transactions"), || {
        assert!(!pgbench.is_over(), "pgbench ended: {}", pgbench.err.text());
        latencies(clients).len() >= count
    });
}

/// The sums of the books agree, and there is an entry for each transaction that pgbench was told of.
fn consistent(clients: &Clients, processed: usize) {
    let sums = query(
        clients,
        "select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), \
         (select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history), \
         (select count(*) from pgbench_history)",
    );
    let mut values: Vec<&str> = sums.split('|').collect();
    let entries = values.pop().and_then(|count| count.parse::<usize>().ok()).unwrap_or_default();
    assert!(values.iter().all(|sum| *sum == values[0]), "the books do not agree: {sums}");
    // Each client may have committed one more whose answer it did not wait for.
    assert!((processed..=processed + CLIENTS).contains(&entries), "{entries} entries of {processed}");
    println!("  the books agree, every transaction is there");
}

/// Every page and index, by PostgreSQL's own tools.
fn whole(debian: &mut Debian, clients: &Clients) {
    let mut check = clients.start(
        "pg_amcheck",
        &format!("exec /usr/lib/postgresql/*/bin/pg_amcheck -h {GUEST} -U postgres --heapallindexed bench"),
    );
    let ended = check.end(PATIENCE);
    assert_eq!((ended.status, ended.out.as_str()), (0, ""), "{}", ended.err);
    let failures = query(clients, "select coalesce(sum(checksum_failures), 0) from pg_stat_database");
    assert_eq!(failures, "0", "checksum failures while it ran");
    debian.run("systemctl stop postgresql@$(ls /usr/lib/postgresql)-main");
    let said = debian
        .run("su postgres -c '/usr/lib/postgresql/*/bin/pg_checksums -c -D /var/lib/postgresql/*/main'");
    assert!(said.lines().any(|line| line.split_whitespace().eq(["Bad", "checksums:", "0"])), "{said}");
    println!("  pg_amcheck and pg_checksums find nothing");
}

/// What the database answers, its columns with a bar between them.
fn query(clients: &Clients, statement: &str) -> String {
    let command = format!(
        "exec /usr/lib/postgresql/*/bin/psql -h {GUEST} -U postgres -X -A -t -c \"{statement}\" bench"
    );
    let ended = clients.start("psql", &command).end(PATIENCE);
    assert_eq!(ended.status, 0, "{}", ended.err);
    ended.out.trim().to_owned()
}

fn number_after(text: &str, words: &str) -> usize {
    let rest = text.split_once(words).map(|(_, rest)| rest).unwrap_or_else(|| panic!("no '{words}': {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|e| panic!("'{words}' ({e}): {text}"))
}
