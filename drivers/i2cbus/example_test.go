package i2cbus_test

import (
	"context"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"

	"rackagent/drivers/i2cbus"
)

// loop is a transport on which every device repeats what was written to it.
type loop struct{}

func (loop) Tx(_ context.Context, _ uint16, w, r []byte) error { copy(r, w); return nil }
func (loop) Close() error                                      { return nil }
func (loop) String() string                                    { return "loop" }

// A mux channel is selected, used and closed in one job, which nothing can come between.
func Example() {
	bus := i2cbus.New(loop{}, i2cbus.Opts{Deadline: 50 * time.Millisecond})
	defer bus.Close()

	reading := make([]byte, 2)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := bus.Poll().Do(ctx, func(tx i2c.Bus) error {
		if err := tx.Tx(0x70, []byte{1 << 3}, nil); err != nil {
			return err
		}
		if err := tx.Tx(0x48, []byte{0x19, 0x40}, reading); err != nil {
			return err
		}
		return tx.Tx(0x70, []byte{0}, nil)
	})
	fmt.Printf("% x %v, %d transfers\n", reading, err, bus.Stats().Transfers)
	// Output: 19 40 <nil>, 3 transfers
}
