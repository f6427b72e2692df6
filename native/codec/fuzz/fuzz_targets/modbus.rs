//! Any bytes through the MBAP framer, then every frame through both sides of the codec.
#![no_main]

use bifrost_codec::modbus::{
    Answer, AnswerError, Area, ByteOrder, DeviceId, Field, Framer, Kind, Limits, Plan, Request,
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
    let field = |address, kind, count| Field {
        unit: 1,
        area: Area::HoldingRegister,
        address,
        kind,
        order: ByteOrder::Badc,
        count,
        bit: None,
    };
    let fields = vec![
        field(3, Kind::Text(7), 2),
        field(11, Kind::Bcd32, 3),
        field(17, Kind::Bytes(300), 1),
    ];
    let plan = Plan::new(fields, Limits::default(), &[], &[]).expect("good fields");
    for frame in frames {
        if let Ok(request) = Request::decode(&frame.pdu) {
            assert_eq!(request.encode().as_deref(), Ok(&frame.pdu[..]));
        }
        let _ = Answer::decode(&frame.pdu, stream);
        let _ = Answer::decode(stream, &frame.pdu);
        if let Ok(answer) = DeviceId::decode(&frame.pdu) {
            let bytes: usize = answer.objects.iter().map(|(_, text)| text.len() + 2).sum();
            assert_eq!(bytes + 7, frame.pdu.len());
        }
        for block in plan.blocks() {
            let _ = block.decode(&frame.pdu, |_, _| Ok::<(), AnswerError>(()));
            let _ = block.whole(&frame.pdu);
        }
    }
});
