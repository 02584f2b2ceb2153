// Package telemetry turns the latest readings into one batch per period, and what has moved in between into batches of its
// own, numbers the batches, and keeps each of them in memory until the broker has it.
//
// Batches are numbered by seq within an epoch, without a gap: whoever receives them sees by the numbers what is
// missing, and drops by (epoch, seq) what comes twice. While nothing is acknowledged, batches wait in a ring that
// is bounded in time and bytes. What the bound drops, what could not be encoded and what a stop of the agent
// leaves behind is counted and reported with its numbers (S9).
//
// It is NOT a store: the ring does not survive a restart, which the new epoch tells. Where there is a store, a batch
// without acknowledgement is given to it 4.5 s after it was made, with all that wait, so that a crash loses at most
// 5 s; what the ring then gives up is the store's to deliver. In normal running nothing is given to it. It judges no
// value and knows neither JSON nor MQTT: both come as functions.
package telemetry
