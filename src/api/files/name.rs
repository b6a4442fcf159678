//! Names of files: what people see, and what their system saves a file under.

use unicode_normalization::UnicodeNormalization as _;

use crate::id::is_unprintable;

/// The longest name in bytes, which is what file systems have.
const BYTES_MAX: usize = 255;

/// The longest ending that is kept when a name is cut, in bytes, its dot included.
const ENDING_MAX: usize = 16;

/// What a file is called that came without a name.
const NAMELESS: &str = "file";

/// A name that is safe to show and to save under: the last part of a path, NFC, without characters that
/// do not print or that turn the reading direction (which hides an ending), at most 255 bytes. Never empty.
pub(super) fn cleaned(sent: &str) -> String {
    let last = sent.rsplit(['/', '\\']).next().unwrap_or_default();
    // What cannot fit is not worth normalising; nothing gets shorter than a quarter by it.
    let name: String = last
        .chars()
        .take(BYTES_MAX * 4)
        .filter(|&c| !is_unprintable(c))
        .nfc()
        .collect();
    // Windows drops dots and blanks at the end, and a name of dots is a way up.
    let name = name.trim().trim_end_matches(['.', ' ']);
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    shortened(name)
}

/// Cuts what is too long, before its ending.
fn shortened(name: &str) -> String {
    if name.len() <= BYTES_MAX {
        return name.to_owned();
    }
    let ending = name
        .rfind('.')
        .and_then(|dot| name.get(dot..))
        .filter(|ending| ending.len() <= ENDING_MAX)
        .unwrap_or_default();
    let mut kept = String::new();
    for c in name.chars() {
        if kept.len() + c.len_utf8() + ending.len() > BYTES_MAX {
            break;
        }
        kept.push(c);
    }
    kept + ending
}

/// `Content-Disposition` with this name (RFC 6266 §4, RFC 8187 §3.2): for old clients in ASCII, for all
/// others as it is.
pub(super) fn disposition(shown: bool, name: &str) -> String {
    let how = if shown { "inline" } else { "attachment" };
    let ascii: String = name
        .chars()
        .map(|c| match c {
            // A percent sign would be decoded by some (RFC 6266 Appendix D).
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    if ascii == name {
        return format!("{how}; filename=\"{ascii}\"");
    }
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{how}; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_the_last_part_of_a_path_and_prints() {
        for (sent, name) in [
            ("cat.png", "cat.png"),
            ("  cat.png ", "cat.png"),
            ("C:\\Users\\Kim\\cat.png", "cat.png"),
            ("../../etc/passwd", "passwd"),
            ("a/b/", "file"),
            ("..", "file"),
            ("", "file"),
            ("invoice\u{202e}fdp.exe", "invoicefdp.exe"),
            ("two\r\nlines\0.txt", "twolines.txt"),
            ("Zoe\u{308}.txt", "Zoë.txt"),
            ("name.exe. .", "name.exe"),
        ] {
            assert_eq!(cleaned(sent), name, "{sent:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = cleaned(&format!("{}.jpeg", "고".repeat(200)));
        assert!(name.len() <= BYTES_MAX && name.len() > BYTES_MAX - 4);
        assert!(name.ends_with("고.jpeg"), "{name}");
        let name = cleaned(&format!("a.{}", "b".repeat(300)));
        assert_eq!(name.len(), BYTES_MAX);
    }

    #[test]
    fn a_disposition_holds_any_name() {
        for (shown, name, header) in [
            (true, "cat.png", r#"inline; filename="cat.png""#),
            (
                false,
                "Käse 1%.txt",
                r#"attachment; filename="K_se 1_.txt"; filename*=UTF-8''K%C3%A4se%201%25.txt"#,
            ),
            (
                false,
                "a\"b\\.txt",
                r#"attachment; filename="a_b_.txt"; filename*=UTF-8''a%22b%5C.txt"#,
            ),
            (
                true,
                "고양이",
                r#"inline; filename="___"; filename*=UTF-8''%EA%B3%A0%EC%96%91%EC%9D%B4"#,
            ),
        ] {
            assert_eq!(disposition(shown, name), header);
        }
    }

    proptest! {
        #[test]
        fn any_name_is_a_header_of_one_line(sent: String) {
            let name = cleaned(&sent);
            prop_assert!(!name.is_empty() && name.len() <= BYTES_MAX);
            prop_assert!(!name.contains(['/', '\\']));
            let header = disposition(false, &name);
            prop_assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(header.matches('"').count(), 2);
        }
    }
}
