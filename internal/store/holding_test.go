package store

import (
	"os"
	"testing"
	"time"
)

func TestHolding(t *testing.T) {
	dir := t.TempDir()
	look := func(want int, what string) {
		t.Helper()
		h, held, err := Holding(dir)
		if err != nil || held != (want != 0) || h.PID != want {
			t.Errorf("%s: %v %v %v", what, h, held, err)
		}
	}
	look(0, "no lock")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("looking made %v, %v", entries, err)
	}
	never := func(Holder) bool { t.Error("it would have waited"); return false }
	l, err := Acquire(t.Context(), dir, Public, Holder{PID: 12, Command: "x"}, never)
	if err != nil {
		t.Fatal(err)
	}
	look(12, "held")
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	look(0, "given back")
	// What a crash leaves is no holder.
	if err := os.WriteFile(dir+"/lock.json", []byte(`{"pid":12}`), 0o644); err != nil {
		t.Fatal(err)
	}
	look(0, "left behind")

	// Looking does not turn writers away.
	stop := make(chan bool)
	done := make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
				if _, _, err := Holding(dir); err != nil {
					done <- err
					return
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	for range 200 {
		l, err := Acquire(t.Context(), dir, Public, Holder{PID: 12}, never)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Release(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
