package sim

import (
	"bytes"
	"crypto/subtle"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Message is one PUBLISH as the broker saw it.
type Message struct {
	At      time.Time
	Out     bool   // to a client; otherwise from one
	Client  string // its id
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool // the flag of the packet, so for Out: delivered because it was retained
	Dup     bool
	Will    bool // published by the broker for a client that was lost
}

// Session is a client that came or went.
type Session struct {
	At     time.Time
	Client string
	Lost   bool // gone; otherwise come
}

// witness sees what goes through the broker, and decides who may come in.
type witness struct {
	mqtt.HookBase
	broker *Broker
}

// ID names the hook.
func (*witness) ID() string { return "witness" }

// Provides lists what the hook wants to see.
func (*witness) Provides(b byte) bool {
	return bytes.IndexByte([]byte{
		mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnPacketSent, mqtt.OnWill,
		mqtt.OnSessionEstablished, mqtt.OnDisconnect,
	}, b) >= 0
}

// OnConnectAuthenticate compares user and password where the broker has any.
func (w *witness) OnConnectAuthenticate(_ *mqtt.Client, pk packets.Packet) bool {
	o := w.broker.o
	if o.User == "" {
		return true
	}
	user := subtle.ConstantTimeCompare(pk.Connect.Username, []byte(o.User))
	password := subtle.ConstantTimeCompare(pk.Connect.Password, []byte(o.Password))
	return user&password == 1
}

// OnACLCheck lets every client read and write everything.
func (w *witness) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPublish notes a message on its way in, before anybody gets it.
func (w *witness) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	w.message(cl, pk, Message{})
	return pk, nil
}

// OnPacketSent notes a message that was written to a client.
func (w *witness) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type == packets.Publish {
		w.message(cl, pk, Message{Out: true})
	}
}

// OnWill notes the message a lost client left, before anybody gets it.
func (w *witness) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	w.note(Message{
		Client: cl.ID, Topic: will.TopicName, Payload: bytes.Clone(will.Payload), QoS: will.Qos, Retain: will.Retain, Will: true,
	})
	return will, nil
}

// OnSessionEstablished notes a client that was let in.
func (w *witness) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	now := w.broker.now()
	w.broker.note(now, Session{At: now, Client: cl.ID})
}

// OnDisconnect notes a client that is gone.
func (w *witness) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	now := w.broker.now()
	w.broker.note(now, Session{At: now, Client: cl.ID, Lost: true})
}

func (w *witness) message(cl *mqtt.Client, pk packets.Packet, m Message) {
	m.Client, m.Topic, m.Payload = cl.ID, pk.TopicName, bytes.Clone(pk.Payload)
	m.QoS, m.Retain, m.Dup = pk.FixedHeader.Qos, pk.FixedHeader.Retain, pk.FixedHeader.Dup
	w.note(m)
}

func (w *witness) note(m Message) {
	m.At = w.broker.now()
	w.broker.note(m.At, m)
}
