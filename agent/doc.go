// Package agent wires the rooms of the agent together: New checks, Run starts everything in order and ends it
// backwards. It decides nothing itself.
//
// # The way of a command
//
//	broker -> link -> command (the desk) -> power.Plan -> journal -> accepted, acknowledged
//	  -> power.Loop -> lane, firm guard -> inventory -> drivers/pdu -> drivers/chip/tca9555 -> drivers/i2cbus
//	read-back -> lane -> power.Loop (confirmed)
//	drivers -> poll -> power.Loop (settled by watts) -> journal -> command -> wire -> link -> broker
//
// # The way of a reading
//
//	drivers -> poll -> interlock -> power.Loop (past desk and network)
//	drivers -> poll -> power.Loop, telemetry -> wire -> link -> broker
//	                -> metrics, local socket
//
// # Rooms
//
//	rack        words                          inventory  configuration -> ready devices
//	poll        when to read what, health      command    the desk
//	power       plans, machines, lanes         link       MQTT session
//	journal     what must survive              local      unix socket
//	audit       who did what, hash-chained     interlock  readings -> demands
//	wire        JSON of MQTT payloads          telemetry  numbered batches
//	backlog     telemetry of an outage, on disk
//	sim, e2e    simulated world, tests against real parts
//
// Below them, in drivers: pdu (boards out of chips, by model files), chip (one directory for each part), pmbus and psu
// (what such parts share; supplies by profile files), i2cbus (one owner for each bus, fences, recovery), board (the
// controller's buses and lines), hwmon (what kernel drivers measure), probe (what answers on a bus), drivertest
// (simulated parts).
//
// Imports point down: cmd -> agent -> inventory, command, link, local -> poll, power, interlock, journal, audit, backlog, wire,
// telemetry -> rack and drivers. boundary_test.go keeps that true.
package agent
