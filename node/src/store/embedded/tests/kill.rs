//! Kill -9 of a real process: whatever it said was written is there.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::id::TenantId;
use crate::rng::{Jitter, OsRandom};

/// How often the process is killed.
const KILLS: usize = 8;
/// Says to this test, run as its own child, what to do. The test harness takes it for the name of a test.
const CHILD_MARK: &str = "write-until-killed=";

fn tenant() -> TenantId {
    TenantId::from_bytes([7; 16])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_nothing_acknowledged() {
    if let Some(folder) =
        std::env::args().find_map(|arg| arg.strip_prefix(CHILD_MARK).map(PathBuf::from))
    {
        return write_until_killed(&folder).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let mut child = spawn(folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let patience = 1 + OsRandom.next_u64() % 40;
        let mut heard = 0;
        while heard < patience {
            let line = lines.next().expect("the child ended by itself").unwrap();
            if let Some(number) = line.strip_prefix("written ") {
                let number: u64 = number.parse().unwrap();
                acknowledged = acknowledged.max(number);
                heard += 1;
            }
        }
        if kill == 0 {
            let second = EmbeddedStore::open(folder.path(), EmbeddedOptions::default());
            assert!(
                second
                    .err()
                    .expect("two processes share a store")
                    .to_string()
                    .contains("in use")
            );
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said on its way counts as well.
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("written ") {
                acknowledged = acknowledged.max(number.parse().unwrap());
            }
        }
        let store = EmbeddedStore::open(folder.path(), EmbeddedOptions::default()).unwrap();
        let room = Room {
            store: Arc::new(store),
            tenant: tenant(),
        };
        check(&room, acknowledged).await;
    }
}

fn spawn(folder: &Path) -> Child {
    let (_crate, module) = module_path!().split_once("::").unwrap();
    let name = format!("{module}::a_killed_process_loses_nothing_acknowledged");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &name])
        .arg(format!("{CHILD_MARK}{}", folder.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Writes 1, 2, 3, ... in order, each in two rows and a counter, several commits under way at a time.
async fn write_until_killed(folder: &Path) {
    let store = EmbeddedStore::open(folder, EmbeddedOptions::default()).unwrap();
    let room = Room {
        store: Arc::new(store),
        tenant: tenant(),
    };
    let mut next = u64::try_from(room.read_counter(0).await).unwrap() + 1;
    loop {
        let mut commits = Vec::new();
        for number in next..next + 4 {
            let mut transaction = room.begin().await;
            transaction.set(&room.row(2 * number), &number.to_le_bytes());
            transaction.set(&room.row(2 * number + 1), &vec![number as u8; 3000]);
            transaction.add(&room.row(0), 1);
            commits.push(async move {
                transaction.commit().await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "written {number}").unwrap();
                out.flush().unwrap();
            });
        }
        futures_util::future::join_all(commits).await;
        next += 4;
    }
}

async fn check(room: &Room, acknowledged: u64) {
    let count = u64::try_from(room.read_counter(0).await).unwrap();
    assert!(
        count >= acknowledged,
        "{acknowledged} were acknowledged, {count} are there"
    );
    for number in 1..=count {
        assert_eq!(
            room.read(2 * number).await,
            Some(number.to_le_bytes().to_vec())
        );
        assert_eq!(
            room.read(2 * number + 1).await,
            Some(vec![number as u8; 3000])
        );
    }
    assert_eq!(room.read(2 * count + 2).await, None, "half a transaction");
}
