//! Who calls: bearer tokens, from their making to the decision whether they open something.
//!
//! A token is `fgp_` (a person) or `fgs_` (a service), 8 public characters by which it is found, 43 secret
//! ones (256 bits from the operating system) and 6 that catch a slip of the hand. Only its hash is kept; a
//! fast hash is right *because* the secret is random.

mod limiter;

use std::io::{self, Read};
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use fastgpu_api::problem::codes;
use fastgpu_core::change::Actor;
use fastgpu_core::ids::Name;
use fastgpu_core::token::{Action, Decision, Role, Token, decide};
use fastgpu_core::units::Timestamp;
use fastgpu_store::Scope;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::refuse::Refusal;

pub(crate) use limiter::Failures;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX_CHARS: usize = 4;
const ID_CHARS: usize = 8;
/// 62^43 is just more than 2^256.
const SECRET_CHARS: usize = 43;
/// 62^6 is more than 2^32.
const CHECK_CHARS: usize = 6;
const TOKEN_CHARS: usize = PREFIX_CHARS + ID_CHARS + SECRET_CHARS + CHECK_CHARS;

/// For whom a token is made; its first letters, so that scanners find a leaked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// `fgp_`
    Person,
    /// `fgs_`
    Service,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Person => "fgp_",
            Self::Service => "fgs_",
        }
    }
}

/// What a new token may do.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// For whom it is.
    pub kind: TokenKind,
    /// Whom it stands for.
    pub owner: Name,
    /// The project it belongs to.
    pub project: Name,
    /// What it may do.
    pub role: Role,
    /// When it is made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token: the secret for its owner, and what is kept of it.
///
/// # Errors
/// When the operating system gives no random bytes.
pub fn mint(new: NewToken) -> io::Result<(String, Token)> {
    let mut random = [0u8; 40];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let (id_bytes, secret_bytes) = random.split_at(8);
    let id = base62(id_bytes, ID_CHARS);
    let mut secret = format!("{}{id}{}", new.kind.prefix(), base62(secret_bytes, SECRET_CHARS));
    secret.push_str(&checksum(&secret));
    let token = Token {
        id: id.into(),
        hash: *blake3::hash(secret.as_bytes()).as_bytes(),
        owner: new.owner,
        project: new.project,
        role: new.role,
        created_at: new.created_at,
        expires_at: new.expires_at,
        revoked_at: None,
    };
    Ok((secret, token))
}

/// The last `chars` digits of a big-endian number, in base 62.
fn base62(bytes: &[u8], chars: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![0; chars];
    for slot in digits.iter_mut().rev() {
        let mut rest = 0u16;
        for byte in &mut number {
            let value = rest << 8 | u16::from(*byte);
            *byte = u8::try_from(value / 62).expect("rest is below 62, so the quotient fits a byte");
            rest = value % 62;
        }
        *slot = ALPHABET[usize::from(rest)];
    }
    String::from_utf8(digits).expect("the alphabet is ASCII")
}

fn checksum(text: &str) -> String {
    base62(&blake3::hash(text.as_bytes()).as_bytes()[..4], CHECK_CHARS)
}

/// The public part of a text that has the form of a token.
fn public_part(text: &str) -> Option<&str> {
    let known = text.starts_with(TokenKind::Person.prefix()) || text.starts_with(TokenKind::Service.prefix());
    if !known
        || text.len() != TOKEN_CHARS
        || !text[PREFIX_CHARS..].bytes().all(|byte| byte.is_ascii_alphanumeric())
    {
        return None;
    }
    let (body, check) = text.split_at(TOKEN_CHARS - CHECK_CHARS);
    (checksum(body) == check).then_some(&text[PREFIX_CHARS..PREFIX_CHARS + ID_CHARS])
}

/// Who calls, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: Name,
    pub(crate) owner: Name,
    pub(crate) project: Name,
    pub(crate) role: Role,
}

/// The address a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refusal> {
        let text = bearer(parts)?;
        let now = app.handle.now();
        let refusal = match authenticate(app, text, now) {
            Ok(caller) => return Ok(caller),
            Err(refusal) => refusal,
        };
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
        if peer.is_some_and(|peer| app.failures.is_one_too_many(peer, now)) {
            let detail = "too many wrong tokens came from this address";
            return Err(Refusal::new(&codes::TOO_MANY_FAILURES, detail)
                .hint("wait a minute, then send the right one"));
        }
        Err(refusal)
    }
}

fn bearer(parts: &Parts) -> Result<&str, Refusal> {
    let refuse = |detail: &str| {
        Refusal::new(&codes::UNAUTHENTICATED, detail).hint("send the header `Authorization: Bearer <token>`")
    };
    let header = parts.headers.get(AUTHORIZATION).ok_or_else(|| refuse("no token was sent"))?;
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
fn authenticate(app: &App, text: &str, now: Timestamp) -> Result<Caller, Refusal> {
    let Some(id) = public_part(text) else {
        let detail = "this is not a FastGPU token: it is malformed or cut off";
        return Err(Refusal::new(&codes::UNAUTHENTICATED, detail)
            .hint("a token begins with `fgp_` or `fgs_`; copy all of it"));
    };
    let tokens = app.handle.tokens();
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
    Ok(Caller {
        id: token.id.clone(),
        owner: token.owner.clone(),
        project: token.project.clone(),
        role: token.role,
    })
}

impl Caller {
    /// In whose name commands are given.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Token { id: self.id.clone(), owner: self.owner.clone() }
    }

    /// Whose rows they may see.
    pub(crate) fn scope(&self) -> Scope {
        match self.role {
            Role::Admin => Scope::All,
            Role::Viewer | Role::Member => Scope::Project(self.project.clone()),
        }
    }

    /// Asks the core's one decision function; `hidden` is what to say of a thing they must not learn of.
    pub(crate) fn may(
        &self,
        action: Action,
        project: Option<&str>,
        hidden: impl FnOnce() -> Refusal,
    ) -> Result<(), Refusal> {
        match decide(self.role, &self.project, action, project) {
            Decision::Allow => Ok(()),
            Decision::Hide => Err(hidden()),
            Decision::Forbid => {
                let needed = match action {
                    Action::Read => Role::Viewer,
                    Action::Write => Role::Member,
                    Action::Administer => Role::Admin,
                };
                let detail =
                    format!("this needs the role {}; this token is a {}", needed.code(), self.role.code());
                Err(Refusal::new(&codes::FORBIDDEN, detail).hint("use a token with that role"))
            }
        }
    }

    /// The same for something of no project.
    pub(crate) fn must(&self, action: Action) -> Result<(), Refusal> {
        self.may(action, None, || Refusal::not_found("there is no such thing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewToken {
        NewToken {
            kind: TokenKind::Person,
            owner: "ada".into(),
            project: "default".into(),
            role: Role::Member,
            created_at: Timestamp(0),
            expires_at: None,
        }
    }

    #[test]
    fn a_token_is_recognised_by_its_form_and_a_slip_of_the_hand_is_caught() {
        let (secret, token) = mint(new()).unwrap();
        assert_eq!(secret.len(), TOKEN_CHARS);
        assert_eq!(public_part(&secret), Some(&*token.id));
        assert_eq!(token.hash, *blake3::hash(secret.as_bytes()).as_bytes());
        for position in 0..secret.len() {
            let mut slipped = secret.clone().into_bytes();
            slipped[position] = if slipped[position] == b'x' { b'y' } else { b'x' };
            assert_eq!(public_part(std::str::from_utf8(&slipped).unwrap()), None, "{position}");
        }
        for bad in ["", "fgp_", &secret[1..], &secret[..60], &format!("{secret}0")] {
            assert_eq!(public_part(bad), None, "{bad}");
        }
        assert_ne!(mint(new()).unwrap().0, secret);
    }

    #[test]
    fn base_62_keeps_every_bit() {
        assert_eq!(base62(&[0xff; 32], SECRET_CHARS).len(), SECRET_CHARS);
        assert_eq!(base62(&[0, 61], 2), "0z");
        assert_eq!(base62(&[1, 0], 3), "048");
    }
}
