//! Tokens: made, listed, revoked, by administrators; and what each says of itself.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use fastgpu_api::answer::token_view;
use fastgpu_api::convert::{TokenAsk, TokenFor};
use fastgpu_api::problem::codes;
use fastgpu_api::view::{List, TokenCreated, TokenRequest, TokenView, WhoAmI};
use fastgpu_core::command::Command;
use fastgpu_failpoints::hit;

use crate::app::App;
use crate::auth::{Caller, NewToken, TokenKind, mint};
use crate::body::{self, BODY_BYTES_MAX, IDEMPOTENCY_KEY};
use crate::extract::Segment;
use crate::refuse::{Answer, Refusal};

/// `POST /v1/tokens`: the only answer that ever holds the secret
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        return Err(Refusal::bad_request(
            "a token cannot be made under an `Idempotency-Key`: its secret is not kept",
        )
        .hint("leave the header out; revoke a token whose answer was lost"));
    }
    let bytes = body::read(&headers, body, BODY_BYTES_MAX, app.options.body_timeout).await?;
    let request: TokenRequest =
        if bytes.is_empty() { TokenRequest::default() } else { body::request(&bytes).await? };
    let TokenAsk { role, owner, project, kind, expires_in } = request.into_ask().map_err(Refusal::fields)?;
    let now = app.handle.wall();
    let new = NewToken {
        kind: match kind {
            TokenFor::Person => TokenKind::Person,
            TokenFor::Service => TokenKind::Service,
        },
        owner: owner.unwrap_or_else(|| caller.owner.clone()),
        project: project.unwrap_or_else(|| caller.project.clone()),
        role,
        created_at: now,
        expires_at: expires_in.map(|span| now.plus(span)),
    };
    let (secret, token) = mint(new).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random bytes");
        Refusal::new(&codes::INTERNAL, "the token could not be made")
    })?;
    let view = token_view(&token);
    app.handle.command(Command::TokenCreate { token, actor: caller.actor() }).await?;
    hit("server.token.before_reply");
    Ok(app.json(StatusCode::CREATED, &TokenCreated { token: secret, view }))
}

/// `GET /v1/tokens`
pub(crate) async fn list(State(app): State<Arc<App>>) -> Answer {
    let items: Vec<TokenView> = app.handle.tokens().values().map(token_view).collect();
    Ok(app.json(StatusCode::OK, &List { items, next_cursor: None }))
}

/// `DELETE /v1/tokens/{id}`
pub(crate) async fn revoke(State(app): State<Arc<App>>, caller: Caller, Segment(id): Segment) -> Answer {
    let id = fastgpu_core::ids::Name::from(id);
    app.handle.command(Command::TokenRevoke { id: id.clone(), actor: caller.actor() }).await?;
    let tokens = app.handle.tokens();
    let view = tokens.get(&id).map(token_view);
    Ok(app.json(StatusCode::OK, &view.ok_or_else(|| Refusal::not_found(format!("there is no token {id}")))?))
}

/// `GET /v1/whoami`
pub(crate) async fn whoami(caller: Caller) -> Answer {
    let view = WhoAmI {
        token_id: caller.id.to_string(),
        owner: caller.owner.to_string(),
        project: caller.project.to_string(),
        role: caller.role.code().to_owned(),
    };
    Ok(body::json(StatusCode::OK, &view))
}
