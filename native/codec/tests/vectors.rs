//! The standard's own examples.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::{
    Answer, AnswerError, Frame, Framer, Request, encode_bits, encode_exception, encode_frame,
    encode_registers, encode_write,
};

#[derive(Default)]
struct Example {
    title: String,
    request: Vec<u8>,
    answer: Vec<u8>,
    values: Vec<u16>,
    exception: Option<u8>,
}

fn examples(text: &str) -> Vec<Example> {
    let mut all: Vec<Example> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        let Some(mark) = line.chars().next() else {
            continue;
        };
        let rest = line[1..].trim();
        let bytes = || {
            rest.split_whitespace()
                .map(|hex| u8::from_str_radix(hex, 16).unwrap())
        };
        match mark {
            '[' => all.push(Example {
                title: rest.to_owned(),
                ..Example::default()
            }),
            '>' => all.last_mut().unwrap().request.extend(bytes()),
            '<' => all.last_mut().unwrap().answer.extend(bytes()),
            '=' => {
                let values = rest
                    .split_whitespace()
                    .map(|value| value.parse::<u16>().unwrap());
                all.last_mut().unwrap().values.extend(values);
            }
            '!' => all.last_mut().unwrap().exception = Some(rest.parse().unwrap()),
            other => panic!("unknown mark {other}"),
        }
    }
    all
}

/// Every printed request is read and written back; every printed answer is written by the server side and accepted by
/// the client side, with the printed values.
#[test]
fn the_printed_examples_are_reproduced() {
    let all = examples(include_str!("../../../tests/vectors/modbus.txt"));
    assert_eq!(all.len(), 9);
    for example in all {
        let title = &example.title;
        let request = Request::decode(&example.request).unwrap();
        assert_eq!(request.encode().unwrap(), example.request, "{title}");
        let bits: Vec<bool> = example.values.iter().map(|value| *value == 1).collect();
        let answer = match (&request, example.exception) {
            (_, Some(code)) => encode_exception(request.function(), code).to_vec(),
            (Request::Read { area, .. }, None) if area.is_bits() => {
                encode_bits(request.function(), &bits).unwrap()
            }
            (Request::Read { .. }, None) => {
                encode_registers(request.function(), &example.values).unwrap()
            }
            (write, None) => encode_write(write).unwrap(),
        };
        assert_eq!(answer, example.answer, "{title}");
        match (&request, Answer::decode(&example.request, &example.answer)) {
            (Request::Read { .. }, Ok(Answer::Payload(payload))) => {
                assert_eq!(payload, &example.answer[2..], "{title}")
            }
            (Request::WriteCoil { value, .. }, Ok(Answer::Done)) => {
                assert_eq!([*value], bits[..], "{title}")
            }
            (Request::WriteRegister { value, .. }, Ok(Answer::Done)) => {
                assert_eq!([*value], example.values[..])
            }
            (Request::WriteCoils { values, .. }, Ok(Answer::Done)) => {
                assert_eq!(values, &bits, "{title}")
            }
            (Request::WriteRegisters { values, .. }, Ok(Answer::Done)) => {
                assert_eq!(values, &example.values, "{title}")
            }
            (_, Err(AnswerError::Exception { code, .. })) => {
                assert_eq!(Some(code), example.exception, "{title}")
            }
            (request, other) => panic!("{title}: {request:?} gave {other:?}"),
        }
    }
}

/// The printed frame is cut and made as printed.
#[test]
fn the_printed_frame_is_reproduced() {
    let all = examples(include_str!("../../../tests/vectors/modbus_tcp.txt"));
    let bytes = &all[0].request;
    let mut frames = Vec::new();
    Framer::new().feed(bytes, &mut frames).unwrap();
    assert_eq!(
        frames,
        [Frame {
            transaction: 0x1501,
            unit: 0xff,
            pdu: bytes[7..].to_vec()
        }]
    );
    assert_eq!(&encode_frame(0x1501, 0xff, &frames[0].pdu).unwrap(), bytes);
}
