//! Sanitizes text from strangers before it is shown: a name must not control the terminal, reverse
//! the line that it is part of, or look like another name.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Shown in place of a hidden character. One byte, so that no text grows beyond its limit.
const REPLACEMENT: char = '?';

/// Characters that are letters, marks or symbols by category but look blank: joiners, Hangul
/// fillers, variation selectors, the empty Braille cell.
const BLANK: &[(char, char)] = &[
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{e0100}', '\u{e01ef}'),
];

/// Replaces characters that control (control and format characters, bidirectional ones and tags
/// included, line and paragraph separators) or that nobody can see (zero width, fillers, private use,
/// unassigned).
pub(crate) fn printable(c: char) -> char {
    use GeneralCategory as Of;
    if (' '..='~').contains(&c) {
        return c;
    }
    let hidden = matches!(
        c.general_category(),
        Of::Control
            | Of::Format
            | Of::LineSeparator
            | Of::ParagraphSeparator
            | Of::Surrogate
            | Of::PrivateUse
            | Of::Unassigned
    );
    let blank = BLANK.iter().any(|(first, last)| (first..=last).contains(&&c));
    if hidden || blank { REPLACEMENT } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_invisible_characters_are_replaced() {
        let hidden = "\0\n\u{1b}\u{7f}\u{85}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\u{2028}\
                      \u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{fff9}\u{e0001}\
                      \u{e0041}\u{e0fff}\u{10ffff}\u{e000}\u{115f}\u{3164}\u{ffa0}\u{2800}\u{fe0f}";
        for c in hidden.chars() {
            assert_eq!(printable(c), '?', "{c:?}");
        }
    }

    #[test]
    fn names_in_any_script_are_kept() {
        let names = "box-1 ~ Zoë 计算机 коробка صندوق e\u{301} 🖥 ½ ¿";
        assert_eq!(names.chars().map(printable).collect::<String>(), names);
    }
}
