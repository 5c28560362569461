//! What stands before every handler. A row of the route table says who may enter and which parameters there are;
//! the gate holds each request to it, so that a handler begins with a caller who may and parameters that are known.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::MethodRouter;
use fastgpu_core::token::Action;

use crate::app::App;
use crate::auth::{Peer, admit};
use crate::query::Query;
use crate::refuse::Answer;

/// One path with one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, `PATCH`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// With `{id}` where a name goes.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What may stand behind the `?`.
    pub parameters: Parameters,
    /// What it does, for the reference.
    pub about: &'static str,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Everybody,
    /// Every valid token.
    Read,
    /// Members and administrators.
    Write,
    /// Administrators.
    Administer,
}

/// Which parameters a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// These, and a refusal for any other.
    Known(&'static [&'static str]),
    /// Any, and none is looked at: probes and scrapers add their own.
    Ignored,
}

impl Access {
    /// What a caller must be allowed to do; nothing where everybody may come.
    const fn action(self) -> Option<Action> {
        match self {
            Self::Everybody => None,
            Self::Read => Some(Action::Read),
            Self::Write => Some(Action::Write),
            Self::Administer => Some(Action::Administer),
        }
    }
}

#[derive(Clone)]
struct Gate {
    app: Arc<App>,
    route: Route,
}

/// The handler of a route behind its gate.
pub(crate) fn guarded(
    handler: MethodRouter<Arc<App>>,
    route: Route,
    app: Arc<App>,
) -> MethodRouter<Arc<App>> {
    handler.route_layer(from_fn_with_state(Gate { app, route }, enter))
}

async fn enter(State(Gate { app, route }): State<Gate>, mut request: Request, next: Next) -> Answer {
    if let Some(action) = route.access.action() {
        let peer = request.extensions().get::<Peer>().copied();
        let caller = admit(request.headers(), peer, action, &app.handle, &app.failures)?;
        request.extensions_mut().insert(caller);
    }
    if let Parameters::Known(known) = route.parameters {
        let query = Query::of(request.uri(), known)?;
        request.extensions_mut().insert(query);
    }
    Ok(next.run(request).await)
}
