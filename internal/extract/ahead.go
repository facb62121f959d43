package extract

import (
	"runtime"
	"sync"
)

// RecordFiles are the paths of the records of all runs.
type RecordFiles []string

// Len is how many there are.
func (f RecordFiles) Len() int { return len(f) }

// Head reads the head of the i-th record.
func (f RecordFiles) Head(i int) (*Head, error) {
	head := new(Head)
	return head, Read(f[i], head)
}

// Record reads the i-th record.
func (f RecordFiles) Record(i int) (*Record, error) {
	record := new(Record)
	return record, Read(f[i], record)
}

// Heads calls use with the head of every record, in their order.
func Heads(records Records, use func(i int, head *Head) error) error {
	return Ahead(records.Len(), records.Head, use)
}

// Ahead calls use with what read gives for 0 to n-1, in that order and one at a time.
// Meanwhile the next ones are read, one a processor: no more are held at once,
// whatever n is. The first error ends it.
func Ahead[T any](n int, read func(i int) (T, error), use func(i int, v T) error) error {
	type outcome struct {
		v   T
		err error
	}
	queue := make(chan chan outcome, runtime.GOMAXPROCS(0))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		defer close(queue)
		for i := range n {
			one := make(chan outcome, 1)
			select {
			case queue <- one:
			case <-stop:
				return
			}
			readers.Go(func() {
				v, err := read(i)
				one <- outcome{v, err}
			})
		}
	})
	defer readers.Wait()
	defer close(stop)
	i := 0
	for one := range queue {
		o := <-one
		if o.err == nil {
			o.err = use(i, o.v)
		}
		if o.err != nil {
			return o.err
		}
		i++
	}
	return nil
}
