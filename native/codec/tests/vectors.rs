//! The standard's own examples.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

use bifrost_codec::modbus::{
    Answer, AnswerError, DeviceId, Frame, Framer, Request, RtuFrame, RtuFramer, RtuRequestFramer,
    encode_bits, encode_exception, encode_frame, encode_registers, encode_rtu_frame, encode_write,
};

#[derive(Default)]
struct Example {
    title: String,
    request: Vec<u8>,
    answer: Vec<u8>,
    values: Vec<u16>,
    written: Vec<u16>,
    objects: Vec<(u8, String)>,
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
        let numbers = || {
            rest.split_whitespace()
                .map(|value| value.parse::<u16>().unwrap())
        };
        match mark {
            '[' => all.push(Example {
                title: rest.to_owned(),
                ..Example::default()
            }),
            '>' => all.last_mut().unwrap().request.extend(bytes()),
            '<' => all.last_mut().unwrap().answer.extend(bytes()),
            '=' => all.last_mut().unwrap().values.extend(numbers()),
            '+' => all.last_mut().unwrap().written.extend(numbers()),
            '"' => {
                let (id, text) = rest.split_once(' ').unwrap();
                let object = (id.parse().unwrap(), text.to_owned());
                all.last_mut().unwrap().objects.push(object);
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
    assert_eq!(all.len(), 12);
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
            (Request::Read { .. } | Request::ReadWrite { .. }, None) => {
                encode_registers(request.function(), &example.values).unwrap()
            }
            (Request::DeviceId { code, object }, None) => {
                let objects: Vec<(u8, &[u8])> = example
                    .objects
                    .iter()
                    .map(|(id, text)| (*id, text.as_bytes()))
                    .collect();
                DeviceId::answer(*code, *object, 1, &objects).unwrap()
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
            (
                Request::MaskWrite {
                    and_mask, or_mask, ..
                },
                Ok(Answer::Done),
            ) => {
                assert_eq!([*and_mask, *or_mask], example.values[..], "{title}")
            }
            (Request::ReadWrite { values, .. }, Ok(Answer::Payload(payload))) => {
                assert_eq!(payload, &example.answer[2..], "{title}");
                assert_eq!(values, &example.written, "{title}");
            }
            (Request::DeviceId { .. }, Ok(Answer::Payload(_))) => {
                let answer = DeviceId::decode(&example.answer).unwrap();
                let texts: Vec<(u8, String)> = answer
                    .objects
                    .iter()
                    .map(|(id, bytes)| (*id, String::from_utf8(bytes.to_vec()).unwrap()))
                    .collect();
                assert_eq!(texts, example.objects, "{title}");
                assert_eq!((answer.conformity, answer.more_follows), (1, false));
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

/// Printed frames with their CRC are cut and made as printed.
#[test]
fn the_printed_rtu_frames_are_reproduced() {
    let all = examples(include_str!("../../../tests/vectors/modbus_rtu.txt"));
    assert_eq!(all.len(), 7);
    for example in all {
        let whole = |bytes: &[u8]| RtuFrame {
            unit: bytes[0],
            pdu: bytes[1..bytes.len() - 2].to_vec(),
        };
        let request = whole(&example.request);
        let mut frames = Vec::new();
        RtuRequestFramer::new().feed(&example.request, &mut frames);
        assert_eq!(frames, std::slice::from_ref(&request), "{}", example.title);
        assert_eq!(
            encode_rtu_frame(request.unit, &request.pdu).unwrap(),
            example.request
        );
        if !example.answer.is_empty() {
            let mut framer = RtuFramer::new(false);
            framer.expect(request.unit, &request.pdu);
            frames.clear();
            framer.feed(&example.answer, &mut frames);
            assert_eq!(frames, [whole(&example.answer)], "{}", example.title);
        }
    }
}
