//! Tests of encodings, and of exchanges with a scripted receiver.

mod encoding;
mod informs;
mod receiver;
