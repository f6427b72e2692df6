//! Any bytes through the framer, then every frame through both sides of the codec.
#![no_main]

use bifrost_codec::modbus::{
    Answer, AnswerError, Area, ByteOrder, Field, Framer, Kind, Limits, Plan, Request,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (split, stream) = data.split_first().map_or((1, data), |(first, rest)| {
        (usize::from(*first).max(1), rest)
    });
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for chunk in stream.chunks(split) {
        if framer.feed(chunk, &mut frames).is_err() {
            break;
        }
    }
    let field = Field {
        unit: 1,
        area: Area::HoldingRegister,
        address: 3,
        kind: Kind::Text(7),
        order: ByteOrder::Badc,
        count: 2,
        bit: None,
    };
    let plan = Plan::new(vec![field], Limits::default(), &[], &[]).expect("a good field");
    for frame in frames {
        if let Ok(request) = Request::decode(&frame.pdu) {
            assert_eq!(request.encode().as_deref(), Ok(&frame.pdu[..]));
        }
        let _ = Answer::decode(&frame.pdu, stream);
        for block in plan.blocks() {
            let _ = block.decode(&frame.pdu, |_, _| Ok::<(), AnswerError>(()));
        }
    }
});
