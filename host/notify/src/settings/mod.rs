//! Settings of notices at a hierarchy node, and their inheritance.
