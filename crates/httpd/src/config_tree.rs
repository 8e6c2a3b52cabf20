//! The configuration as it stands in its files: directives and sections, of all modules.

use std::ffi::CStr;

use httpd_sys as sys;

use crate::request::c_text;

/// How deep sections may lie in each other; httpd itself stops far earlier.
const DEEPEST: usize = 64;

/// A directive, or a section with what stands in it. `<IfModule>` and the like are gone by then.
pub struct Node {
    /// Its name, as `SetHandler`, and `<Location` for a section.
    pub name: String,
    /// Its arguments, without quotes.
    pub arguments: Vec<String>,
    /// File and line, which tell one virtual host from another, too.
    pub place: (String, u32),
    /// What stands in it.
    pub children: Vec<Node>,
}

impl Node {
    /// Whether it is this directive, or a section of this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its first argument.
    pub fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// It, and all that stands in it, however deep.
    pub fn all(&self) -> impl Iterator<Item = &Node> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// File and line, for people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.place.0, self.place.1)
    }
}

/// What has been read last: in the parent since the check_config hook, and in its children.
pub fn read() -> Vec<Node> {
    // SAFETY: the tree is the running configuration's, and lives as long as that; a process that may read another one has
    // one thread, and no child changes its own.
    unsafe { nodes(sys::ap_conftree, 0) }
}

/// # Safety
/// `directive` is NULL or in a live tree.
unsafe fn nodes(mut directive: *const sys::ap_directive_t, depth: usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    // SAFETY: the caller's promise; names and files are terminated, arguments terminated or NULL. The list has an end.
    while let Some(node) = unsafe { directive.as_ref() } {
        let text = |text| {
            c_text(text)
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let name = text(node.directive);
        let mut arguments = text(node.args);
        if name.starts_with('<')
            && let Some(end) = arguments.rfind('>')
        {
            arguments.truncate(end);
        }
        nodes.push(Node {
            arguments: words(&arguments),
            place: (text(node.filename), node.line_num as u32),
            children: match depth < DEEPEST {
                // SAFETY: as above.
                true => unsafe { self::nodes(node.first_child, depth + 1) },
                false => Vec::new(),
            },
            name,
        });
        directive = node.next;
    }
    nodes
}

/// The words of a line, as httpd has them: in quotes or between white space.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let mut word = String::new();
        let quote = matches!(first, '"' | '\'').then_some(first);
        let mut letters = rest
            .char_indices()
            .skip(usize::from(quote.is_some()))
            .peekable();
        let mut end = rest.len();
        while let Some((at, letter)) = letters.next() {
            let is_end = match quote {
                Some(quote) => letter == quote,
                None => letter.is_whitespace(),
            };
            if is_end {
                end = at + letter.len_utf8();
                break;
            }
            match letters.peek() {
                Some(&(_, next)) if letter == '\\' && (next == '\\' || Some(next) == quote) => {
                    word.push(next);
                    letters.next();
                }
                _ => word.push(letter),
            }
        }
        words.push(word);
        rest = rest[end..].trim_start();
    }
    words
}

/// Whether a server is the virtual host that this section makes.
pub fn is_server(node: &Node, defined_at: Option<(&CStr, u32)>) -> bool {
    defined_at.is_some_and(|(file, line)| node.place == (file.to_string_lossy().into_owned(), line))
}
