//! The whole HTTP flow through `Control::handle`, with a store in memory and shards that only note what they are told.

mod backends;
mod busy;
mod cameras;
mod desk;
mod documents;
mod doors;
mod events;
mod flow;
mod joining;
mod kept;
mod manners;
mod matrix;
mod media;
mod mirrors;
mod places;
mod policy;
mod receiver;
mod records;
mod servers;
mod sharing;
mod webhooks;
