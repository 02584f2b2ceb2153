package agent_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"rackagent/config"
)

// TestWalkOfWhatActsByItself is a walk in which the agent begins commands by itself beside those that are sent: the feed is rated so
// that what hangs on it is too much now and then, a tray gets wet and dry, a button is pressed, and the sensors' lines are lost. The
// observer judges as ever: each write is explained by a record from before it, no server loses power, locks hold.
func TestWalkOfWhatActsByItself(t *testing.T) {
	for i := range max(3, *walks/3) {
		seed := *walkSeed + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				wet := newWetRack(t)
				rng := rand.New(rand.NewPCG(seed, 7))
				wet.conf.Power.FeedControl = config.FeedShed
				wet.conf.Feeds[0].RatingA, wet.conf.Feeds[0].Continuous = float64(75+rng.IntN(40)), 1 // A; all of it draws 100
				w := &walker{rig: wet.rig, rng: rng, seqs: map[string]int{}}
				w.start()
				for range 40 {
					switch rng.IntN(8) {
					case 0:
						wet.wet.Store(rng.IntN(3) == 0)
					case 1:
						wet.pressed.Store(rng.IntN(3) == 0)
					case 2:
						wet.broken.Store(rng.IntN(2) == 0)
					case 3:
						if own := w.own(); len(own) > 0 {
							w.send(w.id(), "cmd.cancel", "rack", fmt.Sprintf(`,"args":{"id":%q}`, own[rng.IntN(len(own))]))
						}
					default:
						w.step()
					}
					time.Sleep(w.pause())
				}
				w.healAll()
				wet.wet.Store(false)
				wet.pressed.Store(false)
				wet.broken.Store(false)
				time.Sleep(3 * time.Minute)
				w.judgeOwn()
				w.close()
			})
		})
	}
}
