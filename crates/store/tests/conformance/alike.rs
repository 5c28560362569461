//! The same random life in both stores.

use super::*;

#[test]
fn sqlite_and_memory_answer_alike_whatever_happens() {
    for seed in 1..=12 {
        alike(seed);
    }
}

/// The same random life in both stores, compared all along.
fn alike(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = MemoryStore::default();
    let mut sqlite = SqliteStore::open(folder.path(), Default::default()).unwrap();
    let (remembered, stored) = (memory.history(), sqlite.history());
    let term = memory.begin_term().unwrap();
    assert_eq!(sqlite.begin_term().unwrap(), term);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let ids = ids(60);
    let shapes = tasks_in_every_shape();
    for _ in 0..120 {
        let changes: Vec<_> = (0..1 + dice.below(6)).map(|_| any_change(&mut dice, &ids, &shapes)).collect();
        let term = if dice.below(20) == 0 { Term(0) } else { term };
        let (left, right) = (memory.commit(term, &changes), sqlite.commit(term, &changes));
        assert_eq!(left.is_ok(), right.is_ok(), "seed {seed}: {left:?} {right:?} {changes:?}");
        if dice.below(10) == 0 {
            let keep = Retention {
                ended_before: Timestamp(NOW.0 + i64::try_from(dice.below(2)).unwrap()),
                tasks_max: dice.below(20),
                at_most: 5,
                keys_before: Timestamp(0),
            };
            let gone = (memory.prune(term, keep).ok(), sqlite.prune(term, keep).ok());
            assert_eq!(gone.0, gone.1, "seed {seed}");
        }
        let (left, right) = (memory.load().unwrap(), sqlite.load().unwrap());
        assert_eq!((left.tasks, left.last_task), (right.tasks, right.last_task), "seed {seed}");
        for scope in [Scope::All, project("a"), project("default")] {
            let filter = any_filter(&mut dice, &ids);
            let page = Page { before: None, limit: 7 };
            let both = [&remembered as &dyn History, &stored].map(|history| {
                let tasks = history.tasks(&scope, &filter, page).unwrap();
                (tasks, history.count(&scope).unwrap(), history.events(&scope, ids[3], 0, 5).unwrap())
            });
            assert_eq!(both[0], both[1], "seed {seed}: {scope:?} {filter:?}");
        }
        for number in 1..4 {
            assert_eq!(memory.spec(hash(number)).unwrap(), sqlite.spec(hash(number)).unwrap(), "seed {seed}");
        }
    }
}

fn any_change(dice: &mut Dice, ids: &[TaskId], shapes: &[Task]) -> Change {
    let mut pick = |length: usize| usize::try_from(dice.below(length as u64)).unwrap();
    let id = ids[pick(ids.len())];
    let shape = &shapes[pick(shapes.len())];
    let project = ["a", "default"][pick(2)];
    let number = u8::try_from(1 + pick(3)).unwrap();
    let some_task = Task { id, project: project.into(), work: Work::Program(hash(number)), ..shape.clone() };
    match pick(8) {
        0 => spec(number),
        1..=3 => new(some_task),
        4 | 5 => update(some_task),
        6 => Change::Event(event(ids[3], u32::try_from(pick(40)).unwrap())),
        _ => Change::Attempt(attempt(id, u32::from(number))),
    }
}

fn any_filter(dice: &mut Dice, ids: &[TaskId]) -> Filter {
    let mut filter = Filter { live: dice.below(3) == 0, ..Filter::default() };
    match dice.below(5) {
        0 => filter.name = Some("näme".into()),
        1 => filter.states = vec!["running".to_owned(), "failed".to_owned()],
        2 => filter.states = vec!["queued".to_owned()],
        3 => filter.id_prefix = Some(ids[5].to_string()[..14].to_owned()),
        _ => {}
    }
    filter
}
