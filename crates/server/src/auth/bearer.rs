//! From the header of a request to whom its token stands for.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use fastgpu_api::problem::codes;
use fastgpu_control::Handle;
use fastgpu_core::token::Action;
use fastgpu_core::units::Timestamp;
use subtle::ConstantTimeEq;

use super::token::public_part;
use super::{Caller, Failures};
use crate::refuse::Refusal;

/// The address a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The caller of a request, if their token is valid and has the role that `action` needs.
pub(crate) fn admit(
    headers: &HeaderMap,
    peer: Option<Peer>,
    action: Action,
    handle: &Handle,
    failures: &Failures,
) -> Result<Caller, Refusal> {
    let text = bearer(headers)?;
    let refusal = match authenticate(handle, text, action, handle.wall()) {
        Ok(caller) => return caller.enter().map(|()| caller),
        Err(refusal) => refusal,
    };
    if peer.is_some_and(|peer| failures.is_one_too_many(peer.0, handle.now())) {
        let detail = "too many wrong tokens came from this address";
        return Err(
            Refusal::new(&codes::TOO_MANY_FAILURES, detail).hint("wait a minute, then send the right one")
        );
    }
    Err(refusal)
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let refuse = |detail: &str| {
        Refusal::new(&codes::UNAUTHENTICATED, detail).hint("send the header `Authorization: Bearer <token>`")
    };
    let header = headers.get(AUTHORIZATION).ok_or_else(|| refuse("no token was sent"))?;
    let text = header.to_str().ok().filter(|text| text.is_ascii());
    let (scheme, token) = text
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| refuse("the `Authorization` header is malformed"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refuse("the `Authorization` header does not carry a bearer token"));
    }
    Ok(token.trim())
}

/// Whether a token opens anything. Who does not hold the whole secret learns nothing about the token.
fn authenticate(handle: &Handle, text: &str, action: Action, now: Timestamp) -> Result<Caller, Refusal> {
    let Some(id) = public_part(text) else {
        let detail = "this is not a FastGPU token: it is malformed or cut off";
        return Err(Refusal::new(&codes::UNAUTHENTICATED, detail)
            .hint("a token begins with `fgp_` or `fgs_`; copy all of it"));
    };
    let tokens = handle.tokens();
    let token = tokens.get(id);
    // A miss costs what a hit costs.
    let kept = token.map_or([0; 32], |token| token.hash);
    let is_right = bool::from(blake3::hash(text.as_bytes()).as_bytes().ct_eq(&kept));
    let Some(token) = token.filter(|_| is_right) else {
        return Err(Refusal::new(&codes::UNAUTHENTICATED, "this token is not known here")
            .hint("ask an administrator for a token of this server"));
    };
    if token.revoked_at.is_some() {
        return Err(Refusal::new(&codes::TOKEN_REVOKED, "this token was revoked")
            .hint("ask an administrator for a new one"));
    }
    if !token.is_valid(now) {
        return Err(Refusal::new(&codes::TOKEN_EXPIRED, "this token has expired")
            .hint("ask an administrator for a new one"));
    }
    Ok(Caller::new(token, action))
}
