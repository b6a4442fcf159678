//! Any stream: frames are found whatever pieces it comes in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use turnstone::stun::{self, Frame};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Frame::Len(len) = stun::frame(rest) {
        assert!(len >= 4 && len.is_multiple_of(4));
        // What the first four bytes said must hold when more has come, unless more shows it to be nonsense.
        for known in 4..rest.len().min(24) {
            match stun::frame(&rest[..known]) {
                Frame::Len(same) => assert_eq!(same, len),
                other => panic!("{other:?} after a length"),
            }
        }
        let Some((frame, after)) = rest.split_at_checked(len) else { break };
        let _ = stun::ChannelData::read(frame);
        let _ = stun::Message::read(frame);
        rest = after;
    }
});
