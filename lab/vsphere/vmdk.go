package main

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/vmdk"
)

const (
	sectorSize  = 512
	sparseMagic = 0x564d444b // "KDMV" on the wire: the header of hosted sparse extents, stream-optimised ones among them
)

// sparseHeader is the first sector of a hosted sparse extent, from VMware's Virtual Disk Format 5.0.
type sparseHeader struct {
	Magic        uint32
	Version      uint32
	Flags        uint32
	Capacity     uint64 // sectors
	GrainSize    uint64 // sectors
	Descriptor   uint64
	DescriptorSz uint64
	TableEntries uint32
	RedundantGD  uint64
	GD           uint64
	Overhead     uint64
	Unclean      uint8
	LineEnds     [4]byte
	Compression  uint16
}

const (
	flagCompressed = 1 << 16
	flagMarkers    = 1 << 17
)

// usableDisk says why a file cannot back a virtual disk: only a descriptor of a VMFS disk can, with its extent there.
func usableDisk(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil {
		return fmt.Errorf("not a virtual disk")
	}
	if binary.LittleEndian.Uint32(head) == sparseMagic {
		return fmt.Errorf("a hosted sparse or stream-optimised disk has to be imported or converted first")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	line, _ := bufio.NewReader(io.LimitReader(f, 64)).ReadString('\n')
	if !strings.HasPrefix(line, "# Disk DescriptorFile") {
		return fmt.Errorf("not a virtual disk")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	descriptor, err := vmdk.ParseDescriptor(f)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(descriptor.Type, "vmfs") {
		return fmt.Errorf("disk type %s is not supported", descriptor.Type)
	}
	for _, extent := range descriptor.Extent {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), extent.Info)); err != nil {
			return fmt.Errorf("extent %s is missing", extent.Info)
		}
	}
	return nil
}

// decodeStream unpacks a stream-optimised disk into flat as it arrives. Holes stay holes. It answers the virtual size
// in bytes; took hears of every piece of data before it is written and may stop the work.
func decodeStream(r io.Reader, flat *os.File, took func(bytes int64) error) (int64, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var header sparseHeader
	sector := make([]byte, sectorSize)
	if _, err := io.ReadFull(in, sector); err != nil {
		return 0, fmt.Errorf("no header: %w", err)
	}
	if err := binary.Read(bytes.NewReader(sector), binary.LittleEndian, &header); err != nil {
		return 0, err
	}
	if header.Magic != sparseMagic || header.Flags&flagCompressed == 0 || header.Flags&flagMarkers == 0 || header.Compression != 1 {
		return 0, fmt.Errorf("not a stream-optimised disk")
	}
	size := int64(header.Capacity) * sectorSize
	grainBytes := int64(header.GrainSize) * sectorSize
	if size <= 0 || grainBytes <= 0 || grainBytes > 1<<27 {
		return 0, fmt.Errorf("a header that makes no sense")
	}
	if _, err := in.Discard(int(header.Overhead-1) * sectorSize); err != nil {
		return 0, fmt.Errorf("truncated: %w", err)
	}
	for {
		if _, err := io.ReadFull(in, sector); err != nil {
			return 0, fmt.Errorf("truncated before the end marker: %w", err)
		}
		value, length := binary.LittleEndian.Uint64(sector), int64(binary.LittleEndian.Uint32(sector[8:]))
		if length == 0 { // a marker of metadata; value is its length in sectors
			if kind := binary.LittleEndian.Uint32(sector[12:]); kind == 0 {
				return size, nil
			}
			if _, err := io.CopyN(io.Discard, in, int64(value)*sectorSize); err != nil {
				return 0, fmt.Errorf("truncated: %w", err)
			}
			continue
		}
		if length > 2*grainBytes+1<<16 || int64(value)*sectorSize >= size {
			return 0, fmt.Errorf("a grain that makes no sense")
		}
		packed := make([]byte, (12+length+sectorSize-1)/sectorSize*sectorSize)
		copy(packed, sector)
		if _, err := io.ReadFull(in, packed[sectorSize:]); err != nil {
			return 0, fmt.Errorf("truncated: %w", err)
		}
		unpack, err := zlib.NewReader(bytes.NewReader(packed[12 : 12+length]))
		if err != nil {
			return 0, fmt.Errorf("grain at sector %d: %w", value, err)
		}
		grain, err := io.ReadAll(io.LimitReader(unpack, grainBytes+1))
		if err != nil || int64(len(grain)) > grainBytes {
			return 0, fmt.Errorf("grain at sector %d cannot be unpacked", value)
		}
		if err := took(int64(len(grain))); err != nil {
			return 0, err
		}
		if _, err := flat.WriteAt(grain, int64(value)*sectorSize); err != nil {
			return 0, err
		}
	}
}

// flatName is the extent of a descriptor.
func flatName(file string) string {
	return strings.Replace(file, ".vmdk", "-flat.vmdk", 1)
}
