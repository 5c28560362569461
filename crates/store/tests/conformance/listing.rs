//! What readers are shown: by project, by cursor, by filter, counted.

use super::*;

#[test]
fn nothing_of_another_project_is_ever_returned() {
    everywhere(|subject| {
        let ids = ids(4);
        let of = |id, project: &str| Task { project: project.into(), ..named(task(id), "n") };
        subject.commit(&[
            spec(1),
            new(of(ids[0], "a")),
            new(of(ids[1], "b")),
            new(Task { state: ended(ids[2], 1).state, ..of(ids[2], "b") }),
            new(of(ids[3], "A")),
        ]);
        for id in &ids {
            subject.commit(&[
                Change::Event(event(*id, 0)),
                Change::Attempt(attempt(*id, 1)),
                Change::Usage(segment(*id, "whatever")),
            ]);
        }
        let history = &*subject.history;
        let (ours, theirs) = (project("a"), ids[1]);
        assert_eq!(history.task(&ours, theirs).unwrap(), None);
        assert!(history.events(&ours, theirs, 0, 9).unwrap().is_empty());
        assert!(history.attempts(&ours, theirs).unwrap().is_empty());
        assert!(history.usage(&ours, theirs).unwrap().is_empty());
        assert_eq!(history.events(&ours, ids[0], 0, 9).unwrap().len(), 1);
        assert_eq!(history.attempts(&ours, ids[0]).unwrap().len(), 1);
        assert_eq!(history.usage(&ours, ids[0]).unwrap().len(), 1);
        for filter in [
            Filter::default(),
            Filter { live: true, ..Filter::default() },
            Filter { name: Some("n".into()), ..Filter::default() },
            Filter { owner: Some("ada".into()), ..Filter::default() },
            Filter { id_prefix: Some("t-".to_owned()), ..Filter::default() },
        ] {
            assert_eq!(listed(history, &ours, &filter), [ids[0]], "{filter:?}");
        }
        let total = |scope: &Scope| history.count(scope).unwrap().iter().map(|(_, tasks)| tasks).sum::<u64>();
        assert_eq!(
            (total(&ours), total(&project("b")), total(&project("c")), total(&Scope::All)),
            (1, 2, 0, 4)
        );
    });
}

#[test]
fn a_listing_by_cursor_stays_whole_while_tasks_are_added_and_end() {
    everywhere(|subject| {
        let ids = ids(25);
        let (before, during) = ids.split_at(20);
        let mut changes = vec![spec(1)];
        changes.extend(before.iter().map(|id| new(task(*id))));
        subject.commit(&changes);
        let mut seen = Vec::new();
        let mut cursor = None;
        for step in 0.. {
            let page = Page { before: cursor, limit: 6 };
            let tasks = subject.history.tasks(&project("default"), &Filter::default(), page).unwrap();
            let Some(last) = tasks.last() else { break };
            cursor = Some(last.id);
            seen.extend(tasks.iter().map(|task| task.id));
            subject.commit(&[new(task(during[step])), update(ended(before[step], 1))]);
        }
        seen.reverse();
        assert_eq!(seen, before);
    });
}

#[test]
fn filters_narrow_a_listing() {
    everywhere(|subject| {
        let ids = ids(5);
        let late = Timestamp(NOW.0 + 3);
        let running = tasks_in_every_shape().into_iter().find(|task| task.state.code() == "running").unwrap();
        subject.commit(&[
            spec(1),
            new(task(ids[0])),
            new(ended(ids[1], 1)),
            new(Task {
                owner: "bob".into(),
                ..asking(named(task(ids[2]), "train"), |terms| terms.queue = "nightly".into())
            }),
            new(Task { state: running.state, submitted_at: late, ..task(ids[3]) }),
            new(Task { submitted_at: Timestamp(NOW.0 + 4), ..named(ended(ids[4], 9), "trai") }),
        ]);
        let words = |states: &[&str]| states.iter().map(|&state| state.to_owned()).collect();
        let none = Filter::default;
        let cases = [
            (none(), vec![4, 3, 2, 1, 0]),
            (Filter { live: true, ..none() }, vec![3, 2, 0]),
            (Filter { states: words(&["running"]), ..none() }, vec![3]),
            (Filter { states: words(&["succeeded", "queued"]), ..none() }, vec![4, 2, 1, 0]),
            (Filter { states: words(&["succeeded"]), live: true, ..none() }, vec![]),
            (Filter { states: words(&["nonsense"]), ..none() }, vec![]),
            (Filter { name: Some("train".into()), ..none() }, vec![2]),
            (Filter { name: Some("%".into()), ..none() }, vec![]),
            (Filter { owner: Some("bob".into()), ..none() }, vec![2]),
            (Filter { queue: Some("nightly".into()), ..none() }, vec![2]),
            (Filter { queue: Some("default".into()), live: true, ..none() }, vec![3, 0]),
            (Filter { queue: Some("none".into()), ..none() }, vec![]),
            (Filter { since: Some(late), ..none() }, vec![4, 3]),
            (Filter { since: Some(late), live: true, ..none() }, vec![3]),
            (Filter { id_prefix: Some(ids[2].to_string()), ..none() }, vec![2]),
            (Filter { id_prefix: Some(ids[2].to_string()[..6].to_owned()), ..none() }, vec![4, 3, 2, 1, 0]),
            (Filter { id_prefix: Some("t-7".to_owned()), ..none() }, vec![]),
            (Filter { id_prefix: Some("%".to_owned()), ..none() }, vec![]),
        ];
        for (filter, places) in cases {
            let expected: Vec<_> = places.into_iter().map(|place: usize| ids[place]).collect();
            assert_eq!(listed(&*subject.history, &Scope::All, &filter), expected, "{filter:?}");
            assert_eq!(listed(&*subject.history, &project("default"), &filter), expected, "{filter:?}");
        }
        let page = Page { before: Some(ids[3]), limit: 1 };
        let one = subject.history.tasks(&Scope::All, &Filter { live: true, ..none() }, page).unwrap();
        assert_eq!(one.iter().map(|task| task.id).collect::<Vec<_>>(), [ids[2]]);
        assert!(
            subject.history.tasks(&Scope::All, &none(), Page { before: None, limit: 0 }).unwrap().is_empty()
        );
    });
}

#[test]
fn tasks_are_counted_by_state_in_the_order_of_a_life() {
    everywhere(|subject| {
        let ids = ids(4);
        subject.commit(&[
            spec(1),
            new(task(ids[0])),
            new(task(ids[1])),
            new(task(ids[2])),
            new(ended(ids[3], 1)),
        ]);
        subject.commit(&[update(ended(ids[0], 1))]);
        subject.commit(&[update(ended(ids[0], 2))]);
        let counts = subject.history.count(&Scope::All).unwrap();
        let words: Vec<_> = counts.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(words, fastgpu_core::task::TaskState::CODES);
        let some: Vec<_> = counts.into_iter().filter(|(_, tasks)| *tasks > 0).collect();
        assert_eq!(some, [("queued".to_owned(), 2), ("succeeded".to_owned(), 2)]);
    });
}
