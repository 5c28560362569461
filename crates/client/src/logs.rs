//! Logs: a stream that survives a broken connection and a restart of the server.

use std::time::{Duration, Instant};

use fastgpu_api::view::{LogLine, StreamEnd};
use reqwest::Response;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};

use crate::error::ClientError;
use crate::sse::{Event, Parser};
use crate::transport::{Call, Client, encoded, protocol, query};

/// A server that restarts is back long before this; a machine that is gone is not.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(60);
/// Pause before the first attempt to connect again, doubled up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The server sends a sign of life every 15 s; three missed ones mean a dead connection.
const SILENCE_MAX: Duration = Duration::from_secs(50);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What part of a task's log to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// One attempt; the last one when nothing is said.
    pub attempt: Option<u32>,
    /// Only the last lines.
    pub tail: Option<u32>,
    /// Go on until the task has ended.
    pub follow: bool,
}

/// A piece of the stream.
#[derive(Debug, Clone, PartialEq)]
pub enum LogItem {
    /// Something was written.
    Line(LogLine),
    /// The task, or the asked attempt, is over; nothing follows.
    End(StreamEnd),
}

/// The log of a task, piece by piece.
#[derive(Debug)]
pub struct LogStream<'a> {
    client: &'a Client,
    path: String,
    /// Whoever follows has just spoken to the server: one that is away now comes back.
    follows: bool,
    /// Where to go on when the connection breaks.
    last_id: Option<String>,
    connection: Option<(Response, Parser)>,
    waiting: std::collections::VecDeque<Event>,
    ended: bool,
}

impl Client {
    /// The log of a task. Nothing is sent before the first [`LogStream::next`].
    #[must_use]
    pub fn logs(&self, id: &str, which: LogQuery) -> LogStream<'_> {
        let query = query(&[
            ("attempt", which.attempt.map(|attempt| attempt.to_string())),
            ("tail", which.tail.map(|lines| lines.to_string())),
            ("follow", which.follow.then(|| "true".to_owned())),
        ]);
        LogStream {
            client: self,
            path: format!("/v1/tasks/{}/logs{query}", encoded(id)),
            follows: which.follow,
            last_id: None,
            connection: None,
            waiting: std::collections::VecDeque::new(),
            ended: false,
        }
    }
}

impl LogStream<'_> {
    /// The next piece; `None` after the end.
    ///
    /// # Errors
    /// When the server refuses, or does not come back.
    pub async fn next(&mut self) -> Result<Option<LogItem>, ClientError> {
        while !self.ended {
            if let Some(event) = self.waiting.pop_front() {
                if let Some(item) = self.take(event)? {
                    return Ok(Some(item));
                }
                continue;
            }
            self.receive().await?;
        }
        Ok(None)
    }

    /// Gets more events, over a new connection if there is none.
    async fn receive(&mut self) -> Result<(), ClientError> {
        let (mut response, mut parser) = match self.connection.take() {
            Some(connection) => connection,
            None => (self.connect().await?, Parser::default()),
        };
        let mut events = Vec::new();
        // A connection that is silent, broken or closed is given up; the next call makes a new one.
        if let Ok(Ok(Some(chunk))) = tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            parser.feed(&chunk, &mut events).map_err(|_| protocol("log", "an event never ends"))?;
            self.waiting.extend(events);
            self.connection = Some((response, parser));
        } else {
            // A server that closes every connection at once must not be asked in a tight circle.
            tokio::time::sleep(PAUSE_FIRST).await;
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Response, ClientError> {
        let began = Instant::now();
        let is_patient = self.follows || self.last_id.is_some();
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.connect_once().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let passes = match &error {
                ClientError::Unreachable { .. } | ClientError::Timeout { .. } => is_patient,
                ClientError::Problem(problem) => problem.status == 503 || problem.status == 429,
                _ => false,
            };
            if !passes || began.elapsed() > RECONNECT_PATIENCE {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect_once(&self) -> Result<Response, ClientError> {
        let mut call =
            Call::get("log", self.path.clone()).header(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = self.last_id.as_ref().and_then(|id| HeaderValue::from_str(id).ok()) {
            call = call.header(LAST_EVENT_ID, id);
        }
        let response = self.client.open(&call).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.client.broken(&error))?;
        Err(self.client.refusal(status, &body, "log"))
    }

    fn take(&mut self, event: Event) -> Result<Option<LogItem>, ClientError> {
        if event.id.is_some() {
            self.last_id = event.id;
        }
        let wrong = |error: serde_json::Error| protocol("log", error.to_string());
        match event.event.as_str() {
            "end" => {
                self.ended = true;
                serde_json::from_str(&event.data).map_err(wrong).map(|end| Some(LogItem::End(end)))
            }
            "log" | "" | "message" => {
                serde_json::from_str(&event.data).map_err(wrong).map(|line| Some(LogItem::Line(line)))
            }
            // A newer server may say more than we know.
            _ => Ok(None),
        }
    }
}
