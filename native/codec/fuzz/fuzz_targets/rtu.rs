//! Any bytes through both RTU framers: the same at once as one by one, and every frame with a good CRC.
#![no_main]

use bifrost_codec::modbus::{RtuFrame, RtuFramer, RtuRequestFramer, encode_rtu_frame};
use libfuzzer_sys::fuzz_target;

/// Every frame is in the stream as it would be written, in order, and the rest was counted.
fn booked(stream: &[u8], frames: &[RtuFrame], noise: u64, swallowed: usize) {
    let mut rest = stream;
    let mut bytes = swallowed;
    for frame in frames {
        let whole =
            encode_rtu_frame(frame.unit, &frame.pdu).expect("a frame that came can be made");
        let at = rest
            .windows(whole.len())
            .position(|window| window == whole)
            .expect("a frame that came is in the stream");
        rest = &rest[at + whole.len()..];
        bytes += whole.len();
    }
    assert_eq!(
        u64::try_from(bytes).expect("small") + noise,
        u64::try_from(stream.len()).expect("small")
    );
}

fuzz_target!(|data: &[u8]| {
    let Some((&[split, flags, length], rest)) = data.split_first_chunk() else {
        return;
    };
    let (request, stream) = rest.split_at(usize::from(length).min(rest.len()));
    let client = |pieces: usize| {
        let mut framer = RtuFramer::new(flags & 1 == 1);
        if flags & 2 == 2 {
            framer.expect(flags >> 2, request);
        }
        let mut frames = Vec::new();
        for chunk in stream.chunks(pieces) {
            framer.feed(chunk, &mut frames);
            assert!(framer.pending() <= 256);
        }
        framer.idle(&mut frames);
        assert_eq!(framer.pending(), 0);
        (frames, framer.counters())
    };
    let (frames, counters) = client(usize::from(split).max(1));
    assert_eq!((&frames, counters), {
        let (same, counters) = client(1);
        assert_eq!(frames, same);
        (&frames, counters)
    });
    let echo = usize::try_from(counters.echoes).expect("one") * (request.len() + 3);
    booked(stream, &frames, counters.noise_bytes, echo);
    let server = |pieces: usize| {
        let mut framer = RtuRequestFramer::new();
        let mut frames = Vec::new();
        for chunk in stream.chunks(pieces) {
            framer.feed(chunk, &mut frames);
            assert!(framer.pending() <= 256);
        }
        framer.idle(&mut frames);
        (frames, framer.counters())
    };
    let (frames, counters) = server(usize::from(split).max(1));
    assert_eq!((frames.clone(), counters), server(1));
    booked(stream, &frames, counters.noise_bytes, 0);
});
