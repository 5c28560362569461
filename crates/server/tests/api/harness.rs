//! A server of one's own: control plane, store in memory, pretended node, and a token of each kind.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use fastgpu_control::{Control, Handle};
use fastgpu_core::change::Actor;
use fastgpu_core::command::Command;
use fastgpu_core::ids::TaskId;
use fastgpu_core::token::Role;
use fastgpu_core::units::Timestamp;
use fastgpu_server::auth::{NewToken, TokenKind, mint};
use fastgpu_server::{Options, ServerParts};
use fastgpu_store::MemoryStore;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::http::{self, PATIENCE, Reply, Response};
use crate::node::{FakeLogs, FakeNode};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) logs: FakeLogs,
    pub(crate) tokens: Tokens,
    shutdown: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    node: Option<JoinHandle<()>>,
    control: Option<Control>,
}

/// One secret of each kind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tokens {
    pub(crate) admin: String,
    pub(crate) member: String,
    pub(crate) viewer: String,
    /// A member of another project.
    pub(crate) foreign: String,
    pub(crate) expired: String,
    pub(crate) revoked: String,
    /// Of the right form, but never handed out here.
    pub(crate) unknown: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Options { auth_failures_per_minute: 100_000, ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::over(MemoryStore::default(), options)
    }

    /// Over what was stored before.
    pub(crate) fn over(store: MemoryStore, options: Options) -> Self {
        let history = Arc::new(store.history());
        let (port, orders) = FakeNode::new();
        let (control, handle) = Control::start(Box::new(store), Arc::new(port), Default::default()).unwrap();
        let logs = FakeLogs::default();
        let node = std::thread::spawn({
            let (handle, logs) = (handle.clone(), logs.clone());
            move || crate::node::run(&orders, &handle, &logs)
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let tokens = runtime.block_on(Tokens::make(&handle));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let parts = ServerParts { handle: handle.clone(), history, logs: Arc::new(logs.clone()), options };
        let served = std::thread::spawn(move || serve(&runtime, listener, parts, stopped));
        let server = Self {
            address,
            logs,
            tokens,
            shutdown: Some(shutdown),
            served: Some(served),
            node: Some(node),
            control: Some(control),
        };
        server.until("the node is there", || {
            let gpus = server.get("/v1/gpus").json();
            gpus["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(())
        });
        server
    }

    /// Waits for a condition, not for a time.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(value) = condition() {
                return value;
            }
            std::thread::yield_now();
        }
        panic!("it never came about that {what}");
    }

    pub(crate) fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let authorization = format!("Bearer {token}");
        let mut all = vec![("Authorization", authorization.as_str())];
        if !body.is_empty() {
            all.push(("Content-Type", "application/json"));
        }
        all.extend(headers);
        http::call(self.address, method, path, &all, body)
    }

    /// As an administrator.
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.call(&self.tokens.admin, "GET", path, &[], b"")
    }

    /// As a member.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(&self.tokens.member, "POST", path, &[], body.to_string().as_bytes())
    }

    /// Submits as a member, and answers the id.
    #[track_caller]
    pub(crate) fn submit(&self, spec: &Value) -> String {
        self.post("/v1/tasks", spec).expect(201)["id"].as_str().unwrap().to_owned()
    }

    /// A task that runs until it is stopped.
    #[track_caller]
    pub(crate) fn sleeper(&self) -> String {
        let id = self.submit(&json!({"command": ["sleep"], "gpu": "none"}));
        self.in_state(&id, "running");
        id
    }

    #[track_caller]
    pub(crate) fn in_state(&self, id: &str, state: &str) -> Value {
        self.until(state, || {
            let task = self.get(&format!("/v1/tasks/{id}")).expect(200);
            (task["state"] == state).then_some(task)
        })
    }

    pub(crate) fn stream(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let authorization = format!("Bearer {}", self.tokens.member);
        let mut all = vec![("Authorization", authorization.as_str()), ("Accept", "text/event-stream")];
        all.extend(headers);
        http::open(self.address, "GET", path, &all, b"")
    }

    /// Stops the HTTP server, and waits until it has stopped.
    pub(crate) fn stop_serving(&mut self) {
        self.shutdown.take();
        if let Some(served) = self.served.take() {
            served.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop_serving();
        if let Some(control) = self.control.take() {
            control.stop();
        }
        // The loop held the way to the node; without it, the node's thread ends.
        drop(self.node.take());
    }
}

fn serve(
    runtime: &Runtime,
    listener: tokio::net::TcpListener,
    parts: ServerParts,
    stopped: oneshot::Receiver<()>,
) {
    let shutdown = async {
        let _ = stopped.await;
    };
    runtime.block_on(fastgpu_server::serve(listener, parts, shutdown)).unwrap();
}

impl Tokens {
    async fn make(handle: &Handle) -> Self {
        let now = handle.wall();
        let new = |role, project: &str, expires_at| NewToken {
            kind: TokenKind::Person,
            owner: "ada".into(),
            project: project.into(),
            role,
            created_at: now,
            expires_at,
        };
        let mut secrets = Vec::new();
        for (role, project, expires_at) in [
            (Role::Admin, "default", None),
            (Role::Member, "default", None),
            (Role::Viewer, "default", None),
            (Role::Member, "other", None),
            (Role::Admin, "default", Some(Timestamp(1))),
            (Role::Admin, "default", None),
        ] {
            let (secret, token) = mint(new(role, project, expires_at)).unwrap();
            let id = token.id.clone();
            handle.command(Command::TokenCreate { token, actor: Actor::Local }).await.unwrap();
            secrets.push((secret, id));
        }
        handle.command(Command::TokenRevoke { id: secrets[5].1.clone(), actor: Actor::Local }).await.unwrap();
        let secret = |index: usize| secrets[index].0.clone();
        Self {
            admin: secret(0),
            member: secret(1),
            viewer: secret(2),
            foreign: secret(3),
            expired: secret(4),
            revoked: secret(5),
            unknown: mint(new(Role::Admin, "default", None)).unwrap().0,
        }
    }
}

pub(crate) fn id_of(text: &str) -> TaskId {
    text.parse().unwrap()
}
