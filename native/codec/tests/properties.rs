//! Frames on TCP, requests and answers: what holds for all bytes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is how it fails"
)]

mod common;

use bifrost_codec::modbus::{
    Answer, AnswerError, Frame, FrameError, Framer, Request, RequestError, encode_frame,
};
use common::area;
use proptest::prelude::*;

fn frame() -> impl Strategy<Value = Frame> {
    (
        any::<u16>(),
        any::<u8>(),
        prop::collection::vec(any::<u8>(), 1..=253),
    )
        .prop_map(|(transaction, unit, pdu)| Frame {
            transaction,
            unit,
            pdu,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a stream is split, the same frames come out.
    #[test]
    fn any_split_gives_the_same_frames(
        frames in prop::collection::vec(frame(), 0..5),
        sizes in prop::collection::vec(1_usize..40, 1..30),
    ) {
        let stream: Vec<u8> =
            frames.iter().flat_map(|f| encode_frame(f.transaction, f.unit, &f.pdu).unwrap()).collect();
        let mut framer = Framer::new();
        let mut out = Vec::new();
        let mut rest = &stream[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            framer.feed(head, &mut out).unwrap();
            rest = tail;
            prop_assert!(framer.pending() < 260);
        }
        prop_assert_eq!(out, frames);
        prop_assert_eq!(framer.pending(), 0);
    }

    /// Any bytes give frames, or one named error that stays.
    #[test]
    fn any_bytes_give_frames_or_a_lasting_error(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5)) {
        let mut framer = Framer::new();
        let mut out = Vec::new();
        let mut failed = None;
        for chunk in &chunks {
            let outcome = framer.feed(chunk, &mut out);
            if let Some(error) = failed {
                prop_assert_eq!(outcome, Err(error));
            }
            if let Err(error) = outcome {
                failed = Some(error);
            }
        }
        prop_assert_eq!(framer.failure(), failed);
        prop_assert!(out.iter().all(|frame| (1..=253).contains(&frame.pdu.len())));
    }

    /// Any bytes are a request or a named error, and what is a request is written back as it came.
    #[test]
    fn any_bytes_are_a_request_or_a_named_error(pdu in prop::collection::vec(any::<u8>(), 0..260)) {
        match Request::decode(&pdu) {
            Ok(request) => prop_assert_eq!(request.encode().unwrap(), pdu),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// The same with a known function and a length that often fits.
    #[test]
    fn nearly_right_requests_are_read_or_refused(
        function in prop::sample::select(vec![1_u8, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43]),
        tail in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..3, Just(14)], 2..16),
    ) {
        let pdu: Vec<u8> = std::iter::once(function).chain(tail).collect();
        if let Ok(request) = Request::decode(&pdu) {
            prop_assert_eq!(request.encode().unwrap(), pdu);
        }
    }

    /// Any bytes as an answer to any read give exactly the bytes asked for, or a named error.
    #[test]
    fn any_bytes_are_an_answer_or_a_named_error(
        area in area(),
        quantity in 1_u16..=125,
        pdu in prop::collection::vec(any::<u8>(), 0..260),
        function_fits in prop::bool::ANY,
    ) {
        let request = Request::Read { area, address: 0, quantity }.encode().unwrap();
        let mut pdu = pdu;
        if let (true, Some(first)) = (function_fits, pdu.first_mut()) {
            *first = area.function();
        }
        match Answer::decode(&request, &pdu) {
            Ok(Answer::Payload(payload)) => {
                let expected = if area.is_bits() { usize::from(quantity).div_ceil(8) } else { usize::from(quantity) * 2 };
                prop_assert_eq!(payload.len(), expected);
            }
            Ok(Answer::Done) => prop_assert!(false, "a read has values"),
            Err(AnswerError::Exception { function, .. }) => prop_assert_eq!(function, area.function()),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// Any bytes as an answer to any request are good, or a named error; an echo is good only if it is one.
    #[test]
    fn any_bytes_after_any_request_are_judged(
        function in prop::sample::select(vec![5_u8, 6, 15, 16, 22, 23, 43]),
        tail in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..3, Just(14)], 0..20),
        request in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..3, Just(14)], 0..20),
    ) {
        let request: Vec<u8> = std::iter::once(function).chain(request).collect();
        let pdu: Vec<u8> = std::iter::once(function).chain(tail).collect();
        match Answer::decode(&request, &pdu) {
            Ok(Answer::Payload(payload)) => {
                prop_assert!(matches!(function, 23 | 43));
                prop_assert!(pdu.ends_with(payload));
            }
            Ok(Answer::Done) => prop_assert!(request.starts_with(&pdu)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        // An exception answer may be of any length, but it has a code.
        let refused = [&[function | 0x80], &pdu[1..]].concat();
        let outcome = Answer::decode(&request, &refused);
        if let (Some(code), Err(AnswerError::Exception { code: found, .. })) = (refused.get(1), outcome) {
            prop_assert_eq!(*code, found);
        } else {
            prop_assert!(matches!(outcome, Err(AnswerError::Truncated { .. } | AnswerError::Request(_))), "{outcome:?}");
        }
    }
}

/// A length or protocol id that cannot be is an error at once, without waiting for the rest of the frame.
#[test]
fn bad_headers_are_noticed_as_soon_as_they_are_complete() {
    let feed = |bytes: &[u8]| Framer::new().feed(bytes, &mut Vec::new());
    assert_eq!(feed(&[0, 1, 0, 1]), Err(FrameError::ProtocolId(1)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 0]), Err(FrameError::Length(0)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 1]), Err(FrameError::Length(1)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 255]), Err(FrameError::Length(255)));
    assert_eq!(feed(&[0, 1, 0, 0, 0, 254]), Ok(()));
}

/// Every limit of every function, one below and one above, and what a server answers to each.
#[test]
fn every_limit_is_kept() {
    let refused = |pdu: &[u8]| match Request::decode(pdu) {
        Ok(request) => {
            assert_eq!(request.encode().unwrap(), pdu);
            None
        }
        Err(error) => error.exception_code(),
    };
    let read = |function, quantity: u16| {
        let [high, low] = quantity.to_be_bytes();
        refused(&[function, 0, 0, high, low])
    };
    for (function, most) in [(1, 2000), (2, 2000), (3, 125), (4, 125)] {
        assert_eq!(read(function, most), None);
        assert_eq!(read(function, most + 1), Some(3));
        assert_eq!(read(function, 0), Some(3));
        assert_eq!(refused(&[function, 0xff, 0xff, 0, 1]), None);
        assert_eq!(refused(&[function, 0xff, 0xff, 0, 2]), Some(2));
    }
    let write = |function, quantity: u16, bytes: usize| {
        let [high, low] = quantity.to_be_bytes();
        let count = u8::try_from(bytes).unwrap();
        refused(&[&[function, 0, 0, high, low, count][..], &vec![0; bytes]].concat())
    };
    assert_eq!(write(15, 1968, 246), None);
    assert_eq!(write(15, 1969, 247), Some(3));
    assert_eq!(write(16, 123, 246), None);
    assert_eq!(write(16, 124, 248), Some(3));
    assert_eq!(write(16, 2, 2), Some(3));
    let both = |reads: u8, writes: u8, announced: u8, bytes: usize| {
        let head = [23, 0, 0, 0, reads, 0, 0, 0, writes, announced];
        refused(&[&head[..], &vec![0; bytes]].concat())
    };
    assert_eq!(both(125, 121, 242, 242), None);
    assert_eq!(both(125, 122, 244, 244), Some(3));
    assert_eq!(both(126, 1, 2, 2), Some(3));
    assert_eq!(both(1, 2, 2, 4), Some(3));
    assert_eq!(both(1, 2, 4, 2), Some(3));
    assert_eq!(refused(&[5, 0, 0, 0xff, 1]), Some(3));
    assert_eq!(refused(&[9, 0, 0]), Some(1));
    assert_eq!(Request::decode(&[]), Err(RequestError::Empty));
}
