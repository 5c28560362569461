//! What a task wrote: plain text for people and `curl`, server-sent events for programs.
//!
//! A stream's ids are `attempt.offset`: after a broken connection, `Last-Event-ID` goes on exactly there.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use fastgpu_api::answer::task_view;
use fastgpu_api::time::WallTime;
use fastgpu_api::units::shown;
use fastgpu_api::view::{LogLine, StreamEnd};
use fastgpu_control::{LogChunk, LogError, LogFrame, Stream, Watch};
use fastgpu_core::task::{Task, TaskState};
use tokio::time::Instant;

use crate::app::App;
use crate::auth::Caller;
use crate::extract::Followed;
use crate::query::Query;
use crate::refuse::{Answer, Refusal};
use crate::stream::{
    EVENT_STREAM, PLAIN_TEXT, Place, SIGN_OF_LIFE, STILL_HERE, last_event_id, push_event, respond,
    wants_events,
};

/// Read at once; small enough that a slow reader costs little memory.
const CHUNK_BYTES_MAX: usize = 256 << 10;
/// How soon new output is looked for: at first quickly, then more slowly while nothing comes.
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(20);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(200);
const TAIL_LINES_MAX: usize = 100_000;

/// `GET /v1/tasks/{id}/logs?attempt=&tail=&follow=&format=`
pub(crate) async fn logs(
    State(app): State<Arc<App>>,
    caller: Caller,
    Followed(task, news): Followed,
    query: Query,
    headers: HeaderMap,
) -> Answer {
    let as_events = match query.get("format") {
        None => wants_events(&headers),
        Some("text") => false,
        Some("sse") => true,
        Some(other) => {
            return Err(Refusal::bad_request(format!(
                "`format={}` is unknown; write text or sse",
                shown(other)
            )));
        }
    };
    let tail = query.number::<usize>("tail")?.map(|lines| lines.min(TAIL_LINES_MAX));
    let asked = query.number::<u32>("attempt")?;
    let follow = query.flag("follow")?;
    if asked.is_some_and(|attempt| attempt == 0 || attempt > task.attempt) {
        let detail =
            format!("{} has {} attempts; there is no attempt {}", task.id, task.attempt, asked.unwrap_or(0));
        return Err(Refusal::not_found(detail));
    }
    let place = app.streams.take(&caller.id)?;
    let mut reader = Reader {
        attempt: asked.unwrap_or(task.attempt),
        only_this: asked.is_some(),
        from: 0,
        last_lines: Vec::new(),
        is_within_line: false,
        follow,
        pause: LOOK_AGAIN_FIRST,
        said_at: Instant::now(),
        is_done: false,
        task,
        news,
        app,
        caller,
        _place: place,
    };
    match last_event_id(&headers).filter(|_| as_events) {
        Some(last) => reader.go_on_after(last)?,
        None => reader.begin(tail).await?,
    }
    Ok(if as_events {
        respond(EVENT_STREAM, reader, Reader::next_events)
    } else {
        respond(PLAIN_TEXT, reader, Reader::next_text)
    })
}

/// One reading of a log, as far as it has come.
struct Reader {
    app: Arc<App>,
    caller: Caller,
    /// The task, read before the log was: what it says of the end is true of the log.
    task: Task,
    news: Watch,
    attempt: u32,
    /// Whether to end with this attempt, or go on with the next.
    only_this: bool,
    from: u64,
    /// What was asked for of the past, until it is sent.
    last_lines: Vec<LogFrame>,
    /// Whether the text sent last did not end with its line.
    is_within_line: bool,
    follow: bool,
    pause: Duration,
    said_at: Instant,
    is_done: bool,
    _place: Place,
}

/// What a step of reading brought.
enum Step {
    Frames(Vec<LogFrame>),
    /// Nothing new for a while.
    Silence,
    /// Nothing will follow.
    End,
    /// The server stops, or the log cannot be read: the caller may come back.
    Break,
}

impl Reader {
    fn go_on_after(&mut self, last: &str) -> Result<(), Refusal> {
        let wrong = || Refusal::bad_request("`Last-Event-ID` is malformed; send the last `id` as it came");
        let (attempt, offset) = last.split_once('.').ok_or_else(wrong)?;
        let attempt = attempt.parse().map_err(|_| wrong())?;
        if attempt > self.task.attempt {
            return Err(wrong());
        }
        self.attempt = attempt;
        self.from = offset.parse().map_err(|_| wrong())?;
        Ok(())
    }

    /// Finds where to begin, and refuses at once when there is no such log.
    async fn begin(&mut self, tail: Option<usize>) -> Result<(), Refusal> {
        if self.attempt == 0 {
            return Ok(());
        }
        let (logs, id, attempt) = (self.app.logs.clone(), self.task.id, self.attempt);
        let looked = tokio::task::spawn_blocking(move || match tail {
            Some(lines) => logs.tail(id, attempt, lines),
            None => {
                logs.read(id, attempt, 0, 1).map(|_| LogChunk { frames: Vec::new(), next: 0, ended: false })
            }
        });
        match looked.await.map_err(|_| Refusal::stopping())? {
            Ok(chunk) => {
                self.from = chunk.next;
                self.last_lines = chunk.frames;
            }
            Err(LogError::Missing) if self.is_over() && self.task.state.is_ended() => {
                return Err(Refusal::not_found(format!(
                    "there is no log of attempt {} of {id}",
                    self.attempt
                ))
                .hint("the attempt wrote nothing, or its log is not kept any more"));
            }
            Err(LogError::Missing) => {}
            Err(LogError::Unreadable(why)) => {
                tracing::error!(task = %id, attempt, why, "a log cannot be read");
                return Err(Refusal::new(&fastgpu_api::problem::codes::INTERNAL, "the log cannot be read"));
            }
        }
        Ok(())
    }

    /// Whether nothing more will be written to the log at hand.
    fn is_over(&self) -> bool {
        match &self.task.state {
            TaskState::Ended(_) => true,
            TaskState::Queued { .. } => self.attempt > 0 && self.task.attempt >= self.attempt,
            _ => self.task.attempt > self.attempt && self.attempt > 0,
        }
    }

    async fn step(&mut self) -> Step {
        if !self.last_lines.is_empty() {
            return Step::Frames(std::mem::take(&mut self.last_lines));
        }
        loop {
            if self.attempt == 0 && self.task.attempt > 0 {
                self.attempt = 1;
            }
            let chunk = self.read().await;
            match chunk {
                Ok(chunk) if !chunk.frames.is_empty() => {
                    self.from = chunk.next;
                    self.pause = LOOK_AGAIN_FIRST;
                    self.said_at = Instant::now();
                    return Step::Frames(chunk.frames);
                }
                Ok(LogChunk { ended, .. }) if ended || self.is_over() || !self.follow => {
                    if !self.next_attempt(ended) {
                        return Step::End;
                    }
                }
                Err(LogError::Missing) if self.is_over() || !self.follow => {
                    if !self.next_attempt(false) {
                        return Step::End;
                    }
                }
                Ok(_) | Err(LogError::Missing) => {}
                Err(LogError::Unreadable(why)) => {
                    tracing::error!(task = %self.task.id, attempt = self.attempt, why, "a log cannot be read");
                    return Step::Break;
                }
            }
            if !self.pause().await {
                return Step::Break;
            }
            if self.said_at.elapsed() >= SIGN_OF_LIFE {
                self.said_at = Instant::now();
                return Step::Silence;
            }
        }
    }

    async fn read(&self) -> Result<LogChunk, LogError> {
        if self.attempt == 0 {
            return Err(LogError::Missing);
        }
        let (logs, id, attempt, from) = (self.app.logs.clone(), self.task.id, self.attempt, self.from);
        let read = tokio::task::spawn_blocking(move || logs.read(id, attempt, from, CHUNK_BYTES_MAX));
        read.await.unwrap_or_else(|_| Err(LogError::Unreadable("the server is stopping".to_owned())))
    }

    /// Whether there is, or may come, another attempt to go on with; goes there if it is there.
    fn next_attempt(&mut self, log_ended: bool) -> bool {
        if self.only_this || !self.follow {
            return false;
        }
        if self.task.attempt > self.attempt {
            self.attempt += 1;
            self.from = 0;
            return true;
        }
        // The log may end a moment before the task does.
        !self.task.state.is_ended() && (log_ended || self.is_over())
    }

    /// Waits for news of the task or for a moment, and reads the task again. `false`: the server stops.
    async fn pause(&mut self) -> bool {
        let pause = self.pause;
        self.pause = (pause * 2).min(LOOK_AGAIN_MAX);
        let is_open = tokio::select! {
            is_open = self.news.changed() => is_open,
            () = tokio::time::sleep(pause) => return true,
            () = self.app.stopping.cancelled() => false,
        };
        if is_open && let Ok(task) = self.app.task(&self.caller, self.task.id).await {
            self.task = task;
        }
        is_open
    }

    async fn next_text(mut self) -> Option<(Bytes, Self)> {
        match self.step().await {
            Step::Frames(frames) => {
                let mut text = Vec::new();
                for frame in frames {
                    self.push_text(&frame, &mut text);
                }
                Some((text.into(), self))
            }
            // Text has no way to say "still here".
            Step::Silence => Some((Bytes::new(), self)),
            Step::End | Step::Break => None,
        }
    }

    /// What the task wrote, untouched; a sentence of ours gets a line of its own.
    fn push_text(&mut self, frame: &LogFrame, text: &mut Vec<u8>) {
        if frame.stream == Stream::Note {
            text.extend_from_slice(if self.is_within_line { b"\n[" } else { b"[" });
            text.extend_from_slice(&frame.bytes);
            text.extend_from_slice(b"]\n");
        } else {
            text.extend_from_slice(&frame.bytes);
        }
        self.is_within_line = text.last().is_some_and(|&byte| byte != b'\n');
    }

    async fn next_events(mut self) -> Option<(Bytes, Self)> {
        if self.is_done {
            return None;
        }
        match self.step().await {
            Step::Frames(frames) => {
                let attempt = self.attempt;
                let mut out = String::with_capacity(frames.len() * 128);
                for frame in frames {
                    let id = format!("{attempt}.{}", frame.next);
                    push_event(&mut out, "log", Some(&id), &line(frame));
                }
                Some((out.into(), self))
            }
            Step::Silence => Some((STILL_HERE.into(), self)),
            Step::End => {
                self.is_done = true;
                let end = self.end();
                Some((end.into(), self))
            }
            Step::Break => None,
        }
    }

    fn end(&self) -> String {
        let view = task_view(&self.task, None, self.app.handle.now());
        let mut out = String::new();
        push_event(&mut out, "end", None, &StreamEnd { state: view.state, exit_code: view.exit_code });
        out
    }
}

fn line(frame: LogFrame) -> LogLine {
    let stream = match frame.stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
        Stream::Note => "note",
    };
    LogLine::new(WallTime(frame.at), stream, frame.bytes)
}
