//! What clients send: the query of a request, the body of a form, and whether a form comes from this server's own
//! page. And the reverse for HTML.

/// The fields of a query, or of a body of the type application/x-www-form-urlencoded.
pub fn fields(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The value of a field; the first one, if there are several.
pub fn field<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    let mut found = fields.iter().filter(|(of, _)| of == name);
    found.next().map(|(_, value)| value.as_str())
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            (&byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> u8 {
    (digit as char).to_digit(16).unwrap_or(0) as u8
}

/// Whether a form was sent by this server's own page, or by no browser at all, as far as its header fields say.
///
/// Browsers say where a request comes from: `Sec-Fetch-Site` cannot be set by a page, and older ones that do not
/// know it send the `Origin` of every POST.
pub fn is_own(fetch_site: Option<&str>, origin: Option<&str>, host: Option<&str>) -> bool {
    match (fetch_site, origin) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority
                .zip(host)
                .is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        }
        (None, None) => true,
    }
}

/// The longest beginning of `text` that has at most `most` bytes and ends between two characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text as HTML shows it, in an attribute too, whatever its charset.
pub fn escape_html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter if letter.is_ascii() => html.push(letter),
            letter => html.push_str(&format!("&#{};", u32::from(letter))),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded() {
        let fields = fields("id=7&code=4000&reason=go+away%21%20%C3%BC&&x");
        assert_eq!(field(&fields, "id"), Some("7"));
        assert_eq!(field(&fields, "reason"), Some("go away! ü"));
        assert_eq!(field(&fields, "x"), Some(""));
        assert_eq!(field(&fields, "y"), None);
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (sent, meant) in [
            ("%", "%"),
            ("%4", "%4"),
            ("%zz", "%zz"),
            ("%41%4", "A%4"),
            ("%+1", "% 1"),
        ] {
            assert_eq!(field(&fields(&format!("a={sent}")), "a"), Some(meant));
        }
        assert_eq!(field(&fields("a=%ff"), "a"), Some("\u{fffd}"));
    }

    #[test]
    fn a_form_is_own_when_the_browser_says_so_or_there_is_none() {
        let host = Some("www.example.com:8080");
        let own = Some("http://WWW.example.com:8080");
        let foreign = Some("http://evil.example");
        for (site, origin, answer) in [
            (None, None, true),
            (Some("same-origin"), own, true),
            (Some("none"), None, true),
            (Some("same-site"), own, false),
            (Some("cross-site"), own, false),
            (Some("cross-site"), None, false),
            (None, own, true),
            (None, foreign, false),
            (None, Some("null"), false),
            (None, Some("http://www.example.com"), false),
        ] {
            assert_eq!(is_own(site, origin, host), answer, "{site:?} {origin:?}");
        }
        assert!(!is_own(None, own, None));
    }

    #[test]
    fn html_has_no_foreign_markup() {
        assert_eq!(
            escape_html("<a href='x\">&ü"),
            "&lt;a href=&#39;x&quot;&gt;&amp;&#252;"
        );
    }
}
