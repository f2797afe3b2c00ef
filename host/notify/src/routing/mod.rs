//! Who is told of an alert, when, and by which channel.
