//! The checked file against a plain array of bytes.

use proptest::prelude::*;
use redb::StorageBackend;

use super::*;
use crate::store::embedded::layout::{BLOCK, GROUP};

/// A little over two groups, so that runs cross their border.
const BLOCKS: usize = 2 * GROUP + 9;

#[derive(Clone, Debug)]
enum Step {
    Resize(usize),
    Write {
        block: usize,
        blocks: usize,
        byte: u8,
    },
    /// Sync, close and open again.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly near the borders of groups.
    let block = || prop_oneof![1..BLOCKS, GROUP - 4..GROUP + 6, 2 * GROUP - 3..BLOCKS];
    prop_oneof![
        2 => block().prop_map(Step::Resize),
        5 => (block(), 1..9_usize, any::<u8>())
            .prop_map(|(block, blocks, byte)| Step::Write { block, blocks, byte }),
        2 => Just(Step::Reopen),
    ]
}

fn open(disk: &Disk) -> CheckedFile<Disk> {
    CheckedFile::open(disk.clone(), Arc::default()).unwrap()
}

fn run(steps: Vec<Step>) {
    let mut disk = Disk::default();
    let mut file = open(&disk);
    let mut model = vec![0; BLOCK];
    file.set_len(BLOCK as u64).unwrap();
    file.write(0, b"redb's header").unwrap();
    for step in steps {
        match step {
            Step::Resize(blocks) => {
                file.set_len((blocks * BLOCK) as u64).unwrap();
                model.resize(blocks * BLOCK, 0);
            }
            Step::Write {
                block,
                blocks,
                byte,
            } => {
                let begin = block * BLOCK;
                let end = (begin + blocks * BLOCK).min(model.len());
                if begin < end {
                    file.write(begin as u64, &vec![byte; end - begin]).unwrap();
                    model[begin..end].fill(byte);
                }
            }
            Step::Reopen => {
                file.sync_data().unwrap();
                disk = disk.after_power_cut(|| false);
                file = open(&disk);
                let mut header = [0; 13];
                file.read(0, &mut header).unwrap();
                assert_eq!(&header, b"redb's header");
            }
        }
        assert_eq!(file.len().unwrap(), model.len() as u64);
    }
    let mut found = vec![1; model.len() - BLOCK];
    file.read(BLOCK as u64, &mut found).unwrap();
    assert!(found == model[BLOCK..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(steps in prop::collection::vec(step(), 1..30)) {
        run(steps);
    }
}
