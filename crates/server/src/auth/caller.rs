//! Who calls, and how far they reach.

use fastgpu_api::problem::codes;
use fastgpu_core::change::Actor;
use fastgpu_core::ids::Name;
use fastgpu_core::token::{Action, Decision, Role, Token, decide};
use fastgpu_store::Scope;

use crate::refuse::Refusal;

/// Who calls, and for what the route at hand lets them in. No handler asks for a role: it asks [`Caller::reach`]
/// where a thing belongs to a project, and the route has said the rest.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: Name,
    pub(crate) owner: Name,
    pub(crate) project: Name,
    pub(crate) role: Role,
    /// What the route is for.
    action: Action,
}

impl Caller {
    /// The owner of a valid token, on a route that is for `action`.
    pub(super) fn new(token: &Token, action: Action) -> Self {
        Self {
            id: token.id.clone(),
            owner: token.owner.clone(),
            project: token.project.clone(),
            role: token.role,
            action,
        }
    }

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

    /// Whether things of a project may be named to them.
    pub(crate) fn sees(&self, project: &str) -> bool {
        decide(self.role, &self.project, Action::Read, Some(project)) == Decision::Allow
    }

    /// Lets them do what the route is for to a thing of `project`; `hidden` is what to say of one that they must
    /// not learn of.
    pub(crate) fn reach(&self, project: &str, hidden: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        self.may(Some(project), hidden)
    }

    /// Lets them use the route at all.
    pub(super) fn enter(&self) -> Result<(), Refusal> {
        self.may(None, || Refusal::not_found("there is no such thing"))
    }

    /// Asks the core's one decision function.
    fn may(&self, project: Option<&str>, hidden: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        match decide(self.role, &self.project, self.action, project) {
            Decision::Allow => Ok(()),
            Decision::Hide => Err(hidden()),
            Decision::Forbid => {
                let needed = match self.action {
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
}
