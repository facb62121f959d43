package store

import "golang.org/x/sys/unix"

func statOf(st *unix.Stat_t) Stat {
	return Stat{uint64(st.Dev), st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
}
