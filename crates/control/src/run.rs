//! The loop: take a batch, apply it, plan, commit once, and only then tell anybody.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use fastgpu_core::command::Command;
use fastgpu_core::ids::{NodeId, Term};
use fastgpu_core::node::Report;
use fastgpu_core::plan::{Planner, needs_round};
use fastgpu_core::state::{Beginning, Changes, Outcome, State};
use fastgpu_core::units::{Millis, Timestamp};
use fastgpu_failpoints::hit;
use fastgpu_store::{Retention, Store, StoreError};
use tokio::sync::oneshot;

use crate::admit::{self, Admission, NewKeys};
use crate::clock::Clock;
use crate::deliver::{NodePort, SpecCache};
use crate::faults;
use crate::handle::{CommandError, Handle, Shared};
use crate::inbox::{Answer, BATCH_MAX, INBOX_MAX, Message, Question};
use crate::record::{Recorder, Story};
use crate::stats::{Counters, add};
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
/// Rounds in a row before the inbox is looked at again.
const ROUNDS_MAX: usize = 8;

/// Settings of the loop that do not change while it runs.
#[derive(Debug)]
pub struct Options {
    /// How long ended tasks are kept.
    pub history: Millis,
    /// How many ended tasks are kept at most.
    pub history_tasks_max: u64,
    /// How long answers are remembered under their keys.
    pub keys: Millis,
    /// Who writes down what the loop does, if anybody.
    pub recorder: Option<Box<dyn Recorder>>,
}

impl Default for Options {
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self {
            history: Millis::from_secs(90 * DAY),
            history_tasks_max: 5_000_000,
            keys: Millis::from_secs(7 * DAY),
            recorder: None,
        }
    }
}

/// Why the loop could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error("the store cannot be opened for writing")]
    Store(#[from] StoreError),
    /// The operating system gave no thread.
    #[error("no thread could be started")]
    Thread(#[from] std::io::Error),
}

/// Why the loop ended by itself. The process should end too: what is durable decides after a restart.
#[derive(Debug, thiserror::Error)]
#[error("the control plane had to stop")]
pub struct Fatal(#[from] StoreError);

/// The running loop.
#[derive(Debug)]
pub struct Control {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
    fatal: Mutex<Option<oneshot::Receiver<Fatal>>>,
}

impl Control {
    /// Loads what is alive and begins a new term.
    ///
    /// # Errors
    /// [`StartError`] when the store cannot be read.
    pub fn start(
        mut store: Box<dyn Store>,
        port: Arc<dyn NodePort>,
        mut options: Options,
    ) -> Result<(Self, Handle), StartError> {
        let term = store.begin_term()?;
        // A server that found its disk full may have used the reserve up.
        let full = !store.restore_reserve();
        let state = load(&mut *store, &mut options.recorder)?;
        let (inbox, messages) = crossbeam_channel::bounded(INBOX_MAX);
        let shared = Arc::new(Shared {
            clock: Clock::starting_at(Timestamp::default()),
            counters: Counters::default(),
            watchers: Arc::new(Watchers::default()),
            tokens: Mutex::new(Arc::new(state.tokens().clone())),
        });
        let (fatal_sender, fatal) = oneshot::channel();
        let mut running = Loop {
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
            wake_at: None,
        };
        running.set_full(full);
        let thread = std::thread::Builder::new().name("fastgpu-control".to_owned()).spawn(move || {
            let _guard = EndsTheProcess;
            if let Err(error) = running.run(&messages) {
                tracing::error!(%error, "the control plane stops");
                running.refuse_all(&messages, &error);
                let _ = fatal_sender.send(Fatal(error));
            }
            running.shared.watchers.close();
        })?;
        let handle = Handle { inbox, shared };
        let control =
            Self { handle: handle.clone(), thread: Mutex::new(Some(thread)), fatal: Mutex::new(Some(fatal)) };
        Ok((control, handle))
    }

    /// Resolves if the loop ends by itself; can be taken once.
    pub fn fatal(&self) -> Option<oneshot::Receiver<Fatal>> {
        self.fatal.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    /// Finishes the batch at hand and stops.
    pub fn stop(&self) {
        let _ = self.handle.inbox.send(Message::Stop);
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

/// A broken invariant is a bug, and a state that broke one must not be served: what is durable decides, after
/// a restart. Tasks run on meanwhile.
struct EndsTheProcess;

impl Drop for EndsTheProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "a bug: the control plane ends the process rather than go on with a broken state"
            );
            std::process::abort();
        }
    }
}

fn load(store: &mut dyn Store, recorder: &mut Option<Box<dyn Recorder>>) -> Result<State, StoreError> {
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
    Ok(State::new(beginning))
}

struct Loop {
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
    /// When the last plan wants to be made again.
    wake_at: Option<Timestamp>,
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
    fn run(&mut self, messages: &Receiver<Message>) -> Result<(), StoreError> {
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
        let wake_at = self.state.next_timer().into_iter().chain(self.wake_at).min();
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
                let command = Command::Report { node, report };
                let said = batch.story.copy_of(|| command.clone());
                batch.story.done(said);
                let _ = self.state.apply(command, now, &mut batch.changes);
            }
            Message::Query(question) => batch.queries.push(question),
            Message::Stop => batch.stop = true,
        }
    }

    fn plan_rounds(&mut self, now: Timestamp, batch: &mut Batch) {
        let is_due = self.wake_at.is_some_and(|at| at <= now);
        if !needs_round(&self.state) && !is_due {
            return;
        }
        let began = Instant::now();
        for _ in 0..ROUNDS_MAX {
            let plan = self.planner.plan(&self.state, now);
            self.state.adopt(&plan, now, &mut batch.changes);
            batch.story.round(&plan);
            self.wake_at = if plan.more { Some(now) } else { plan.wake_at };
            add(&self.shared.counters.rounds, 1);
            add(&self.shared.counters.placed, plan.starts.len() as u64);
            if !plan.more {
                break;
            }
        }
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        add(&self.shared.counters.round_us, us);
    }

    /// Makes a batch durable and tells everybody, or tells nobody anything but that it failed.
    fn settle(&mut self, batch: Batch, now: Timestamp) -> Result<(), StoreError> {
        let Batch { changes, keys, mut answers, queries, story, .. } = batch;
        let mut outcome = changes.finish(&self.state);
        outcome.rows.extend(admit::rows(keys));
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
        counters.queued.store(self.state.queue_len() as u64, std::sync::atomic::Ordering::Relaxed);
        counters.live.store(self.state.live_len() as u64, std::sync::atomic::Ordering::Relaxed);
        let (deliveries, unreadable) = self.specs.complete(&mut *self.store, outcome.orders, now);
        self.own_reports.extend(unreadable);
        hit("control.before_orders");
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
        self.state = load(&mut *self.store, &mut self.options.recorder)?;
        self.planner = Planner::default();
        self.wake_at = None;
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
        self.shared.counters.storage_full.store(u64::from(full), std::sync::atomic::Ordering::Relaxed);
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

    /// Nobody is left waiting when the loop has to end.
    fn refuse_all(&self, messages: &Receiver<Message>, error: &StoreError) {
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
