"""Operations on voxel arrays that several floors share: connected parts."""
