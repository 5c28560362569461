//! The loop: take a batch, apply it, plan, commit once, and only then tell anybody.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use fastgpu_core::change::{Change, Moment};
use fastgpu_core::command::Command;
use fastgpu_core::ids::{NodeId, Term};
use fastgpu_core::node::Report;
use fastgpu_core::plan::Planner;
use fastgpu_core::state::{Beginning, Changes, Outcome, State};
use fastgpu_core::units::{Millis, Timestamp};
use fastgpu_failpoints::hit;
use fastgpu_store::{Retention, Store, StoreError};

use crate::admit::{self, Admission, NewKeys};
use crate::answers::CommandError;
use crate::clock::Clock;
use crate::deliver::{NodePort, SpecCache};
use crate::faults;
use crate::handle::Shared;
use crate::inbox::{Answer, BATCH_MAX, Message, Question};
use crate::options::Options;
use crate::record::{Recorder, Story};
use crate::spans;
use crate::stats::{Counters, add};
use crate::times;
use crate::watch::Watchers;

/// How often old history is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Tasks deleted at once, so that no caller waits long for it: about 34 ms at worst.
const PRUNE_AT_MOST: usize = 128;
/// Reports of nodes share a transaction with all that come within this long of the last one: a transaction
/// costs more than what is in it. An idle control plane takes the first report at once, and callers never wait.
const REPORTS_EVERY: Duration = Duration::from_millis(1);
/// After this long without a message the store may tidy up.
const IDLE_AFTER: Duration = Duration::from_millis(200);
/// How often a full disk is asked whether there is room again.
const ROOM_ASKED_EVERY: Duration = Duration::from_millis(500);

/// The loop with all it owns.
pub(crate) struct Loop {
    store: Box<dyn Store>,
    term: Term,
    state: State,
    planner: Planner,
    port: Arc<dyn NodePort>,
    options: Options,
    shared: Arc<Shared>,
    specs: SpecCache,
    /// Whether the disk was full at the last attempt to write.
    full: bool,
    room_asked_at: Instant,
    pruned_at: Instant,
    /// Whether something was written since the store last tidied up.
    untidy: bool,
    /// When the last transaction was durable.
    committed_at: Instant,
    /// Reports made up in place of a node's, for the next batch.
    own_reports: Vec<(NodeId, Report)>,
}

/// What a batch collects until its commit.
#[derive(Default)]
struct Batch {
    changes: Changes,
    keys: NewKeys,
    answers: Vec<Answer>,
    queries: Vec<Question>,
    /// For the recorder.
    story: Story,
    stop: bool,
}

impl Loop {
    /// Loads what is alive and begins a new term.
    pub(crate) fn begin(
        mut store: Box<dyn Store>,
        port: Arc<dyn NodePort>,
        mut options: Options,
    ) -> Result<(Self, Arc<Shared>), StoreError> {
        let term = store.begin_term()?;
        // A server that found its disk full may have used the reserve up.
        let full = !store.restore_reserve();
        let (state, clock) = load(&mut *store, &mut options.recorder)?;
        let shared = Arc::new(Shared {
            clock: Clock::of_machine(clock),
            counters: Counters::default(),
            watchers: Arc::new(Watchers::default()),
            tokens: Mutex::new(Arc::new(state.tokens().clone())),
        });
        let mut running = Self {
            store,
            term,
            state,
            planner: Planner::default(),
            port,
            options,
            shared: shared.clone(),
            specs: SpecCache::default(),
            full,
            room_asked_at: Instant::now(),
            pruned_at: Instant::now(),
            untidy: false,
            committed_at: Instant::now(),
            own_reports: Vec::new(),
        };
        running.set_full(full);
        Ok((running, shared))
    }

    /// Until somebody stops it, or the store fails.
    pub(crate) fn run(&mut self, messages: &Receiver<Message>) -> Result<(), StoreError> {
        loop {
            let first = match self.own_reports.pop() {
                Some((node, report)) => Some(Message::Report(node, report)),
                None => self.next_message(messages),
            };
            if first.is_none() && std::mem::take(&mut self.untidy) {
                self.store.idle();
            }
            hit("control.batch.taken");
            let company = self.company(first.as_ref(), messages);
            let now = self.shared.clock.now();
            let mut batch = Batch { story: Story::of(self.options.recorder.is_some()), ..Batch::default() };
            if self.state.next_timer().is_some_and(|at| at <= now) {
                batch.story.done(Some(Command::Tick));
            }
            let _ = self.state.apply(Command::Tick, now, &mut batch.changes);
            let rest = std::iter::from_fn(|| messages.try_recv().ok());
            let mut taken = 0;
            for message in first.into_iter().chain(company).chain(rest).take(BATCH_MAX) {
                taken += 1;
                self.take(message, now, &mut batch);
                if batch.stop {
                    break;
                }
            }
            hit("control.applied");
            self.plan_rounds(now, &mut batch);
            hit("control.planned");
            add(&self.shared.counters.batches, 1);
            add(&self.shared.counters.commands, taken);
            let stop = batch.stop;
            self.settle(batch, now)?;
            if stop {
                return Ok(());
            }
            self.keep_house(now)?;
        }
    }

    /// Further reports that come soon enough to share the transaction of the first.
    fn company(&self, first: Option<&Message>, messages: &Receiver<Message>) -> Vec<Message> {
        let mut company = Vec::new();
        if !matches!(first, Some(Message::Report(..))) {
            return company;
        }
        let until = self.committed_at + REPORTS_EVERY;
        // One less than a batch: `first` is part of it, and none of these may be dropped.
        while company.len() < BATCH_MAX - 1
            && let Ok(message) = messages.recv_deadline(until)
        {
            let is_report = matches!(message, Message::Report(..));
            company.push(message);
            if !is_report {
                break;
            }
        }
        company
    }

    /// Waits for a message, or until time alone brings something about.
    fn next_message(&self, messages: &Receiver<Message>) -> Option<Message> {
        let now = self.shared.clock.now();
        let house = match (self.full, self.untidy) {
            (true, _) => ROOM_ASKED_EVERY,
            (false, true) => IDLE_AFTER,
            (false, false) => faults::chores_every(PRUNE_EVERY),
        };
        let wake_at = self.state.next_timer().into_iter().chain(self.planner.wake_at()).min();
        let wait = wake_at.map_or(house, |at| Duration::from_millis(at.since(now).0).min(house));
        match messages.recv_timeout(wait) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
        }
    }

    fn take(&mut self, message: Message, now: Timestamp, batch: &mut Batch) {
        match message {
            Message::Submit(submission) if self.full => {
                batch.answers.push(Answer::Submit(submission.reply, Err(CommandError::StorageFull)));
            }
            Message::Submit(submission) => {
                let asked = batch.story.copy_of(|| submission.command());
                let (store, state) = (&mut *self.store, &mut self.state);
                let (changes, keys) = (&mut batch.changes, &mut batch.keys);
                let mut admission = Admission { store, state, changes, keys, now };
                let answer = admission.admit(submission);
                batch.story.answered(asked, &answer);
                batch.answers.push(answer);
            }
            Message::Command { command, reply } => {
                let asked = batch.story.copy_of(|| command.clone());
                let answer = self.state.apply(command, now, &mut batch.changes).map_err(CommandError::from);
                let answer = Answer::Command(reply, answer);
                batch.story.answered(asked, &answer);
                batch.answers.push(answer);
            }
            Message::Report(node, report) => {
                let report = times::as_ours(report, self.shared.clock.ahead_ms());
                let span = spans::of_report(node, &report).entered();
                spans::reported(&report);
                let command = Command::Report { node, report };
                let said = batch.story.copy_of(|| command.clone());
                batch.story.done(said);
                let _ = self.state.apply(command, now, &mut batch.changes);
                drop(span);
            }
            Message::Query(question) => batch.queries.push(question),
            Message::Stop => batch.stop = true,
        }
    }

    fn plan_rounds(&mut self, now: Timestamp, batch: &mut Batch) {
        let began = Instant::now();
        let (state, counters) = (&mut self.state, &self.shared.counters);
        let Batch { changes, story, .. } = batch;
        let any = self.planner.rounds(state, now, changes, |planner, state| {
            let _span = spans::round(counters.rounds.load(Ordering::Relaxed) + 1).entered();
            let plan = planner.plan(state, now);
            spans::planned(&plan, state);
            story.round(&plan);
            add(&counters.rounds, 1);
            add(&counters.placed, plan.starts.len() as u64);
            plan
        });
        if any {
            let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            add(&counters.round_us, us);
        }
    }

    /// Makes a batch durable and tells everybody, or tells nobody anything but that it failed.
    fn settle(&mut self, batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let Batch { changes, keys, mut answers, queries, story, .. } = batch;
        let mut outcome = changes.finish(&self.state);
        outcome.rows.extend(admit::rows(keys));
        if !outcome.rows.is_empty() {
            outcome.rows.push(Change::Clock(self.shared.clock.moment(now)));
        }
        faults::answer_early(&mut answers);
        hit("control.before_commit");
        match self.commit(&outcome) {
            Ok(()) => {}
            Err(StoreError::Full) => {
                answers.into_iter().for_each(|answer| answer.fail(&CommandError::StorageFull));
                self.start_over()?;
                queries.into_iter().for_each(|question| question(&self.state, now));
                return Ok(());
            }
            Err(error) => {
                let failed = CommandError::StorageFailed(error.to_string());
                answers.into_iter().for_each(|answer| answer.fail(&failed));
                return Err(error);
            }
        }
        hit("control.after_commit");
        if let Some(recorder) = &mut self.options.recorder {
            recorder.batch(&story.told(now));
        }
        self.specs.remember(&outcome.rows);
        if outcome.tokens_changed {
            let mut tokens = self.shared.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *tokens = Arc::new(self.state.tokens().clone());
        }
        let counters = &self.shared.counters;
        counters.queued.store(self.state.queue_len() as u64, Ordering::Relaxed);
        counters.live.store(self.state.live_len() as u64, Ordering::Relaxed);
        let (deliveries, unreadable) =
            self.specs.complete(&mut *self.store, outcome.orders, self.shared.clock.wall());
        self.own_reports.extend(unreadable);
        hit("control.before_orders");
        deliveries.iter().for_each(spans::ordered);
        if !deliveries.is_empty() {
            self.port.deliver(deliveries);
        }
        hit("control.after_orders");
        self.shared.watchers.publish(&outcome.moved);
        hit("control.before_replies");
        answers.into_iter().for_each(Answer::send);
        for question in queries {
            question(&self.state, now);
        }
        hit("control.after_replies");
        Ok(())
    }

    fn commit(&mut self, outcome: &Outcome) -> Result<(), StoreError> {
        if outcome.rows.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let result = self.store.commit(self.term, &outcome.rows);
        if result.is_ok() {
            self.untidy = true;
            self.committed_at = Instant::now();
            self.shared.counters.committed(outcome.rows.len(), began.elapsed());
        }
        result
    }

    /// The disk is full and the last batch is nowhere: forget it, and go on from what is durable. The nodes
    /// say again what they hold: what runs must be able to end, and the reserve is for that.
    fn start_over(&mut self) -> Result<(), StoreError> {
        (self.state, _) = load(&mut *self.store, &mut self.options.recorder)?;
        self.planner = Planner::default();
        // If even the reserve is used up, the nodes are asked when there is room again, not all the time.
        if !self.full {
            tracing::warn!("the disk is full: new tasks are refused until there is room again");
            self.set_full(true);
            self.store.release_reserve();
            self.room_asked_at = Instant::now();
            self.port.greet();
        }
        Ok(())
    }

    fn set_full(&mut self, full: bool) {
        self.full = full;
        self.shared.counters.storage_full.store(u64::from(full), Ordering::Relaxed);
    }

    /// Small chores between two batches.
    fn keep_house(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.full && self.room_asked_at.elapsed() >= ROOM_ASKED_EVERY {
            self.room_asked_at = Instant::now();
            if self.store.restore_reserve() {
                tracing::info!("there is room on the disk again");
                self.set_full(false);
                self.port.greet();
            }
        }
        if self.pruned_at.elapsed() < faults::chores_every(PRUNE_EVERY) || self.full {
            return Ok(());
        }
        let before = |age: Millis| Timestamp(now.0.saturating_sub_unsigned(age.0));
        let keep = Retention {
            ended_before: before(self.options.history),
            tasks_max: self.options.history_tasks_max,
            keys_before: before(self.options.keys),
            at_most: PRUNE_AT_MOST,
        };
        let pruned = match self.store.prune(self.term, faults::retention(keep)) {
            Err(StoreError::Full) => 0,
            other => other?,
        };
        // More may be waiting to go: then the next idle moment is soon enough.
        if pruned < PRUNE_AT_MOST {
            self.pruned_at = Instant::now();
        }
        Ok(())
    }

    /// Ends every wait for news: none will come.
    pub(crate) fn close(&self) {
        self.shared.watchers.close();
    }

    /// Nobody is left waiting when the loop has to end.
    pub(crate) fn refuse_all(&self, messages: &Receiver<Message>, error: &StoreError) {
        let failed = CommandError::StorageFailed(error.to_string());
        while let Ok(message) = messages.try_recv() {
            match message {
                Message::Submit(submission) => drop(submission.reply.send(Err(failed.clone()))),
                Message::Command { reply, .. } => drop(reply.send(Err(failed.clone()))),
                Message::Query(_) | Message::Report(..) | Message::Stop => {}
            }
        }
    }
}

fn load(
    store: &mut dyn Store,
    recorder: &mut Option<Box<dyn Recorder>>,
) -> Result<(State, Option<Moment>), StoreError> {
    let saved = store.load()?;
    let beginning = Beginning {
        tasks: saved.tasks,
        nodes: saved.nodes,
        tokens: saved.tokens,
        config: saved.config,
        last_task: saved.last_task,
        runs: saved.runs,
    };
    if let Some(recorder) = recorder {
        recorder.begin(&beginning);
    }
    Ok((State::new(beginning), saved.clock))
}
