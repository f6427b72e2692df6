//! IEEE 754 binary16, which the compiler does not have yet.

/// Widens exactly; a NaN stays one.
#[must_use]
pub(crate) fn widened(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * 2_f64.powi(-24),
        31 if bits & 0x3ff == 0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// Rounds to the nearest, ties to even; None if a finite number is too large.
#[must_use]
pub(crate) fn narrowed(number: f64) -> Option<u16> {
    let size = number.abs();
    let bits = if size.is_nan() {
        0x7e00
    } else if size.is_infinite() {
        0x7c00
    } else if size >= 65520.0 {
        return None;
    } else {
        // Below 2**-14 all numbers are multiples of 2**-24; above, 1024 of them lie between two powers of two.
        let exponent = exponent(size).max(-14);
        let steps = (size * 2_f64.powi(10 - exponent)).round_ties_even();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 2048: the number is below 65520"
        )]
        let steps = steps as u16;
        // The exponent is -14 to 15. The step from 1023 to 1024 carries into it by itself.
        u16::try_from(exponent + 14).unwrap_or(0) * 1024 + steps
    };
    Some(if number.is_sign_negative() {
        bits | 0x8000
    } else {
        bits
    })
}

fn exponent(size: f64) -> i32 {
    let biased = size.to_bits() >> 52 & 0x7ff;
    i32::try_from(biased).unwrap_or(0) - 1023
}
