// Package config reads what a study sets: configs/defaults.yaml and the
// environment (Settings), and the methods that it knows (Registry).
//
// It opens no store and no database, and creates nothing.
package config
