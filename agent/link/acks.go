package link

import (
	"sync"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// acks sends the acknowledgements of one connection in the order in which the messages came [MQTT-4.6.0-2],
// from a goroutine of its own, because paho's Ack waits for the socket.
type acks struct {
	mu   sync.Mutex
	list []*delivery // received and not acknowledged, oldest first
	wake chan struct{}
}

type delivery struct {
	msg  mqtt.Message
	done bool // may be acknowledged
}

func newAcks() *acks { return &acks{wake: make(chan struct{}, 1)} }

// add notes a message and gives the function that releases its acknowledgement.
func (a *acks) add(m mqtt.Message) func() {
	if m.Qos() == 0 {
		return func() {}
	}
	d := &delivery{msg: m}
	a.mu.Lock()
	a.list = append(a.list, d)
	a.mu.Unlock()
	return func() { a.release(d) }
}

func (a *acks) release(d *delivery) {
	a.mu.Lock()
	d.done = true
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// next takes the oldest message if it may be acknowledged.
func (a *acks) next() mqtt.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) == 0 || !a.list[0].done {
		return nil
	}
	m := a.list[0].msg
	a.list = a.list[1:]
	return m
}

// run sends until the connection is done. paho drops what comes later.
func (a *acks) run(done <-chan struct{}) {
	for {
		for m := a.next(); m != nil; m = a.next() {
			m.Ack()
		}
		select {
		case <-a.wake:
		case <-done:
			return
		}
	}
}

func (a *acks) pending() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.list)
}
