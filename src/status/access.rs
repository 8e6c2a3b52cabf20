//! Who may POST, by what the sections of a configuration say: `Require`, and mod_access_compat's `Order`, `Allow`, `Deny` and
//! `Satisfy`. They are merged as httpd does it; what is not known lets everybody in.

use httpd::config_tree::Node;

/// Whom a part of it lets in; the later ones are safer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Everybody,
    /// Everybody, as long as nothing is said.
    Unsaid,
    Some,
}

/// What the sections that have been merged say together.
#[derive(Clone, Copy)]
pub struct Access {
    require: Who,
    hosts: Who,
    /// `Satisfy Any`: one of the two is enough.
    is_any: bool,
}

impl Access {
    /// Nothing is said.
    pub const UNSAID: Self = Self {
        require: Who::Unsaid,
        hosts: Who::Unsaid,
        is_any: false,
    };

    /// Whether it is not everybody who may.
    pub fn is_guarded(self) -> bool {
        let (require, hosts) = (self.require == Who::Some, self.hosts == Who::Some);
        match self.is_any {
            true => require && hosts,
            false => require || hosts,
        }
    }

    /// With a section that comes behind.
    pub fn with(self, section: &Node) -> Self {
        let said = said(&section.children);
        let merging = last(&said, "AuthMerging").map(|node| node.first().to_ascii_lowercase());
        let is_said = self.require != Who::Unsaid;
        let require = match (required(&said), merging.as_deref()) {
            (None, Some("off")) => Who::Unsaid,
            (None, _) => self.require,
            (Some(who), Some("and")) if is_said => who.max(self.require),
            (Some(who), Some("or")) if is_said => who.min(self.require),
            (Some(who), _) => who,
        };
        // mod_access_compat merges nothing: one directive, be it for other methods, replaces all that was said before.
        let is_hosts = |said: &Said<'_>| {
            let names = ["Order", "Allow", "Deny", "Satisfy"];
            names.iter().any(|name| said.node.is(name))
        };
        match said.iter().any(is_hosts) {
            true => Self {
                require,
                hosts: hosts(&said),
                is_any: last_for_post(&said, "Satisfy")
                    .is_some_and(|node| node.first().eq_ignore_ascii_case("any")),
            },
            false => Self { require, ..self },
        }
    }

    /// With a section of which nobody knows whether it holds: what it forbids does not count, what it allows does.
    pub fn perhaps_with(self, section: &Node) -> Self {
        let with = self.with(section);
        Self {
            require: self.require.min(with.require),
            hosts: self.hosts.min(with.hosts),
            is_any: self.is_any || with.is_any,
        }
    }
}

/// A directive or a container, and whether no `<Limit>` or `<LimitExcept>` around it makes it one for other methods.
struct Said<'t> {
    node: &'t Node,
    is_for_post: bool,
}

fn said(nodes: &[Node]) -> Vec<Said<'_>> {
    let mut all = Vec::new();
    for node in nodes {
        let lists_post = node.arguments.iter().any(|method| method == "POST");
        let is_for_post = match () {
            () if node.is("<Limit") => lists_post,
            () if node.is("<LimitExcept") => !lists_post,
            () => {
                all.push(Said {
                    node,
                    is_for_post: true,
                });
                continue;
            }
        };
        let limited = node.children.iter();
        all.extend(limited.map(|node| Said { node, is_for_post }));
    }
    all
}

fn last<'t>(said: &[Said<'t>], name: &str) -> Option<&'t Node> {
    let mut found = said.iter().rev().filter(|said| said.node.is(name));
    found.next().map(|said| said.node)
}

fn last_for_post<'t>(said: &[Said<'t>], name: &str) -> Option<&'t Node> {
    let mut found = said.iter().rev().filter(|said| said.is_for_post);
    found.find(|said| said.node.is(name)).map(|said| said.node)
}

/// Whom the `Require`s of a section let in; one is enough. Those for other methods let everybody in, if there are no others.
fn required(said: &[Said<'_>]) -> Option<Who> {
    let is_one = |said: &Said<'_>| {
        ["Require", "<RequireAll", "<RequireAny", "<RequireNone"]
            .iter()
            .any(|name| said.node.is(name))
    };
    said.iter()
        .any(is_one)
        .then(|| each(said).min().unwrap_or(Who::Everybody))
}

/// What those for POST say, one by one.
fn each(said: &[Said<'_>]) -> impl Iterator<Item = Who> {
    let for_post = said.iter().filter(|said| said.is_for_post);
    for_post.filter_map(|said| {
        let node = said.node;
        match () {
            () if node.is("Require") => required_of(node),
            () if node.is("<RequireAll") => each(&self::said(&node.children)).max(),
            () if node.is("<RequireAny") => each(&self::said(&node.children)).min(),
            // What forbids some lets in all others: it is for httpd only.
            () => None,
        }
    })
}

fn required_of(require: &Node) -> Option<Who> {
    let words = require.arguments.iter();
    let words: Vec<String> = words.map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Some(match &words[..] {
        ["not", ..] => return None,
        ["all", "granted"] | ["ssl"] => Who::Everybody,
        ["method", methods @ ..] if methods.contains(&"post") => Who::Everybody,
        _ => Who::Some,
    })
}

/// Whom `Order`, `Allow` and `Deny` let in.
fn hosts(said: &[Said<'_>]) -> Who {
    let order = last_for_post(said, "Order").map(|node| node.first().to_ascii_lowercase());
    let says = |name: &str, is_all: fn(&str) -> bool| {
        let mut of_name = said
            .iter()
            .filter(|said| said.is_for_post && said.node.is(name));
        of_name.any(|said| {
            let mut words = said.node.arguments.iter();
            words.any(|word| is_all(&word.to_ascii_lowercase()))
        })
    };
    let allows_all = says("Allow", |word| word == "all" || word.starts_with("env=!"));
    let denies_all = says("Deny", |word| word == "all");
    let is_guarded = match order.as_deref() {
        // Who is in neither list is let in.
        None | Some("deny,allow") => denies_all && !allows_all,
        Some(_) => denies_all || !allows_all,
    };
    match is_guarded {
        true => Who::Some,
        false => Who::Everybody,
    }
}
