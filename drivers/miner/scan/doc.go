// Package scan tells what answers at an address of the network: which miner with which firmware, and by which interface the
// agent can speak to it.
//
// It only reads, and logs in nowhere. What goes out is a connection that says nothing, one of the few requests of requests.go,
// and nothing else: commands that report, and GETs without credentials. A page that asks for a log-in is a fact about its owner.
//
// Two stages (as users of miners' scanners found out, many conversations at once lose units: asic-rs, issue 319). First a
// connection to each of the ports that tell, which finds who is there; those that were silent are tried once more at the end.
// Then, of those that are there, one question after the other, the cheapest that tells most first, until one has told.
//
// What answers may be anything. Every answer is bounded in size and time, and every text in a Found is one line that a terminal
// obeys nothing of.
package scan
