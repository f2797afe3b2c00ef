//! Delivery by SNMP traps and informs.
