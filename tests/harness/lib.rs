//! What the tests of whole sessions stand on: worlds on virtual time, clients without a network, oracles.
