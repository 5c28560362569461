//! Who may do what: tokens, roles, and the one decision function.

use crate::ids::Name;
use crate::units::Timestamp;

/// One bearer token as it is kept: hashed, with what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The public part, by which it is found, listed and revoked.
    pub id: Name,
    /// Hash of the whole secret; 256 random bits need no slow hash.
    pub hash: [u8; 32],
    /// Whom it stands for; the owner of what it creates.
    pub owner: Name,
    /// The project it belongs to.
    pub project: Name,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself; `None` means never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether the token opens anything at `now`.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads its project.
    Viewer,
    /// Runs and changes tasks of its project.
    Member,
    /// Everything, in every project.
    Admin,
}

impl Role {
    /// The stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look at tasks, devices, nodes, metrics.
    Read,
    /// Submit, change, cancel tasks.
    Write,
    /// Tokens, nodes, configuration.
    Administer,
}

/// The answer to "may they?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allow,
    /// No, and they may know that the thing exists.
    Forbid,
    /// No, and they must not learn that it exists.
    Hide,
}

/// Decides whether a caller with `role` in `home` may do `action` to something of `project`
/// (`None`: something of no project). Denies what it does not know.
#[must_use]
pub fn decide(role: Role, home: &str, action: Action, project: Option<&str>) -> Decision {
    if role == Role::Admin {
        return Decision::Allow;
    }
    if project.is_some_and(|project| project != home) {
        return Decision::Hide;
    }
    match (action, role) {
        (Action::Read, Role::Viewer | Role::Member) | (Action::Write, Role::Member) => Decision::Allow,
        _ => Decision::Forbid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_admins_leave_their_project_and_only_members_write() {
        use {Action as A, Decision as D, Role as R};
        let ask = |role, action, project| decide(role, "vision", action, project);
        assert_eq!(ask(R::Viewer, A::Read, Some("vision")), D::Allow);
        assert_eq!(ask(R::Viewer, A::Write, Some("vision")), D::Forbid);
        assert_eq!(ask(R::Member, A::Write, Some("vision")), D::Allow);
        assert_eq!(ask(R::Member, A::Read, Some("speech")), D::Hide);
        assert_eq!(ask(R::Member, A::Administer, None), D::Forbid);
        assert_eq!(ask(R::Admin, A::Write, Some("speech")), D::Allow);
    }
}
