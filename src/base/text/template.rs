//! Texts from constant templates.
use super::Text;

/// `fill!(text, TEMPLATE, values…)` appends a constant template, each `@` in it
/// replaced by the next of the values, which are bytes. A wrong number of values is a
/// compile error, since the array then has another type.
macro_rules! fill {
    ($text:expr, $template:expr) => {{
        const TEMPLATE: &str = $template;
        const { assert!($crate::base::text::template::marks(TEMPLATE) == 0) };
        $crate::base::text::Text::extend($text, TEMPLATE.as_bytes());
    }};
    ($text:expr, $template:expr, $value:expr $(,)?) => {{
        const TEMPLATE: &str = $template;
        const { assert!($crate::base::text::template::marks(TEMPLATE) == 1) };
        $crate::base::text::template::append_one($text, TEMPLATE, $value);
    }};
    ($text:expr, $template:expr $(, $value:expr)* $(,)?) => {{
        const TEMPLATE: &str = $template;
        let values: [&[u8]; $crate::base::text::template::marks(TEMPLATE)] = [$($value),*];
        $crate::base::text::template::append($text, TEMPLATE, &values);
    }};
}
pub(crate) use fill;

/// How many `@` a template has.
pub const fn marks(template: &str) -> usize {
    let mut rest = template.as_bytes();
    let mut count = 0;
    while let [byte, after @ ..] = rest {
        count += (*byte == b'@') as usize;
        rest = after;
    }
    count
}

/// The same for one value.
#[inline(never)]
pub fn append_one(text: &mut Text, template: &str, value: &[u8]) {
    append(text, template, &[value]);
}

/// The function behind [`fill!`]: as many values as there are `@`.
pub fn append(text: &mut Text, template: &str, values: &[&[u8]]) {
    let mut values = values.iter();
    for byte in template.as_bytes() {
        match byte {
            b'@' => text.extend(values.next().copied().unwrap_or_default()),
            byte => text.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_replaced_in_order() {
        let mut text = Text::new();
        fill!(&mut text, "a@b@@", b"1", b"", b"@");
        fill!(&mut text, "\n");
        assert_eq!(&*text, b"a1b@\n");
        assert_eq!([marks(""), marks("@"), marks("a@b@@")], [0, 1, 3]);
    }
}
