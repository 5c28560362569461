//! A backup of a running server under load holds everything that was acknowledged before it began.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::ledger::{Deed, Ledger};
use crate::verdict::{History, Verdict, by_name};
use crate::world::World;

const CLIENTS: usize = 4;
const BACKUPS: usize = 3;

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_before_it() {
    let mut world = World::new();
    world.start_well();
    let mut ledgers: Vec<_> = (0..CLIENTS).map(|n| Ledger::new(&world, &format!("c{n}"))).collect();
    let over = AtomicBool::new(false);
    let mut taken = Vec::new();
    std::thread::scope(|scope| {
        let counted: Vec<_> = ledgers
            .iter_mut()
            .map(|ledger| {
                let (door, over, count) =
                    (world.door(), &over, std::sync::Arc::new(std::sync::Mutex::new(Vec::new())));
                let noted = count.clone();
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        for deed in [Deed::Held, Deed::Held, Deed::Nothing] {
                            let request = ledger.one(deed);
                            assert!(ledger.send(&door, request));
                            noted.lock().unwrap().extend(ledger.requests[request].ids.clone().unwrap());
                        }
                    }
                });
                count
            })
            .collect();
        for number in 0..BACKUPS {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let before: Vec<String> =
                counted.iter().flat_map(|count| count.lock().unwrap().clone()).collect();
            let file = world.root().join(format!("backup-{number}.db"));
            let saved = world.run(&["backup", file.to_str().unwrap()]);
            assert!(saved.status.success(), "{saved:?}");
            taken.push((file, before));
        }
        over.store(true, Ordering::Relaxed);
    });
    let verdict = Verdict::of(&mut world, &mut ledgers, History::Kept);
    assert!(verdict.is_clean(), "the load suffered: {verdict}\n{}", verdict.complaints());
    world.end();
    for (file, before) in taken {
        assert!(before.len() > CLIENTS);
        let mut elsewhere = World::new();
        let restored = elsewhere.run(&["restore", file.to_str().unwrap()]);
        assert!(restored.status.success(), "{restored:?}");
        elsewhere.start_well();
        let there: Vec<String> = by_name(&elsewhere.door())
            .into_values()
            .flatten()
            .filter_map(|task| task["id"].as_str().map(str::to_owned))
            .collect();
        let lost = before.iter().filter(|id| !there.contains(id)).count();
        assert_eq!(lost, 0, "of {} acknowledged before {}", before.len(), file.display());
        elsewhere.end();
    }
}
