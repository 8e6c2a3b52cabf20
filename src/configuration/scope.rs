//! Where directives hold, as far as one can tell from the configuration's text before there are requests.

use httpd::config_tree::Node;

/// A section, or what stands outside of all in a server.
pub struct Scope<'t> {
    pub node: &'t Node,
    /// The virtual host, by its place; `None` is for all.
    pub host: Option<&'t (String, u32)>,
    /// Its path; `None` where a section is not for the paths that begin alike, and may hold anywhere.
    pub path: Option<&'t str>,
}

impl<'t> Scope<'t> {
    /// All that there are in a configuration. What stands in a section's own sections may hold wherever it does.
    pub fn all(tree: &'t [Node]) -> Vec<Self> {
        let mut scopes = Vec::new();
        Self::collect(tree, None, &mut scopes);
        scopes
    }

    fn collect(nodes: &'t [Node], host: Option<&'t (String, u32)>, scopes: &mut Vec<Self>) {
        for node in nodes {
            if node.is("<VirtualHost") {
                Self::collect(&node.children, Some(&node.place), scopes);
                continue;
            }
            let is_path = node.is("<Location")
                && node.arguments.len() == 1
                && !node.first().contains(['*', '?', '[']);
            scopes.push(Scope {
                node,
                host,
                path: is_path.then(|| node.first()),
            });
        }
    }

    /// Whether there may be a request for which both hold.
    pub fn may_meet(&self, other: &Scope<'_>) -> bool {
        let is_same_host = self.host.is_none() || other.host.is_none() || self.host == other.host;
        is_same_host
            && match (self.path, other.path) {
                (Some(one), Some(other)) => one.starts_with(other) || other.starts_with(one),
                _ => true,
            }
    }
}
