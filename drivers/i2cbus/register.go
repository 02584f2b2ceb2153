package i2cbus

import (
	"errors"
	"fmt"
	"slices"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/i2c/i2creg"
)

// ErrRegistered says that periph's registry has an owner for this bus already.
var ErrRegistered = errors.New("periph's registry already has an owner for this bus")

// ownedMark follows the bus's name in the alias that marks an entry of periph's registry as ours.
const ownedMark = " (owned)"

// Register makes i2creg.Open of the bus's own name (and of the number and aliases periph knows it by) give a
// handle on b, so that periph's drivers and tools share the one owner. An entry of periph's own under that name is
// replaced until Close: a second file handle on the same bus would bypass the owner. Closing a handle opened this
// way does not close b. Call it after periph's start-up, from one goroutine.
func Register(b *Bus) error {
	name := b.String()
	before := registered(name)
	if before != nil && slices.Contains(before.Aliases, name+ownedMark) {
		return fmt.Errorf("register %s: %w", name, ErrRegistered)
	}
	aliases, number := []string{name + ownedMark}, -1
	if before != nil {
		aliases, number = append(aliases, before.Aliases...), before.Number
		if err := i2creg.Unregister(name); err != nil {
			return fmt.Errorf("register %s: %w", name, err)
		}
	}
	open := func() (i2c.BusCloser, error) { return opened{b.Poll()}, nil }
	if err := i2creg.Register(name, aliases, number, open); err != nil {
		return errors.Join(fmt.Errorf("register %s: %w", name, err), restore(before))
	}
	return b.setUnregister(func() error {
		return errors.Join(i2creg.Unregister(name), restore(before))
	})
}

// opened is what periph's drivers get.
type opened struct{ *Handle }

// Close does nothing: the bus belongs to whoever made it.
func (opened) Close() error { return nil }

func registered(name string) *i2creg.Ref {
	for _, ref := range i2creg.All() {
		if ref.Name == name {
			return ref
		}
	}
	return nil
}

func restore(ref *i2creg.Ref) error {
	if ref == nil {
		return nil
	}
	return i2creg.Register(ref.Name, ref.Aliases, ref.Number, ref.Open)
}

// setUnregister keeps what Close has to undo, or undoes it where Close came first.
func (b *Bus) setUnregister(undo func() error) error {
	b.registry.Lock()
	defer b.registry.Unlock()
	select {
	case <-b.done:
		return errors.Join(fmt.Errorf("register %s: %w", b, ErrClosed), undo())
	default:
		b.unregister = undo
		return nil
	}
}

func (b *Bus) takeUnregister() func() error {
	b.registry.Lock()
	defer b.registry.Unlock()
	if b.unregister == nil {
		return func() error { return nil }
	}
	return b.unregister
}

var _ i2c.BusCloser = opened{}
